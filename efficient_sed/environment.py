"""What a result must say of where it came from: commit, versions, device. PyTorch is imported where its device is asked for."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

CPU_INFO = Path("/proc/cpuinfo")
BOARD = Path("/proc/device-tree/model")
PACKAGES = ("efficient-sed", "torch", "torchaudio", "pytorch-lightning", "numpy", "scipy", "numba", "soundfile", "sed_scores_eval")


def describe_environment(device: str | None = None, packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """Commit (with a mark for uncommitted changes), package versions, machine and time.

    Args:
        device: What it was measured on; none: the device that PyTorch would choose.
    """
    if device is None:
        import torch

        device = device_name(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    return {
        "commit": git_commit(),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in packages}},
        "device": device,
        "platform": platform.platform(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def device_name(device: torch.device) -> str:
    """Name of a device as results quote it."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU {cpu_name()}, {torch.get_num_threads()} threads"


def cpu_name() -> str:
    """What the machine calls its processor; a small board tells its own name."""
    if BOARD.is_file():
        return BOARD.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines() if CPU_INFO.is_file() else []
    told = {key.strip(): value.strip() for key, colon, value in (line.partition(":") for line in lines) if colon}
    return told.get("model name") or told.get("Hardware") or platform.processor() or platform.machine()


def git_commit() -> str:
    """Commit of the checkout that this package runs from, `+changes` if it has any; "unknown" for an installed copy."""
    folder = Path(__file__).resolve().parent
    try:
        run = [
            subprocess.run(["git", "-C", str(folder), *command], capture_output=True, text=True, check=True).stdout
            for command in (["ls-files", "--error-unmatch", Path(__file__).name], ["rev-parse", "HEAD"], ["status", "--porcelain", "--", "."])
        ]
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    _, commit, changes = run
    return commit.strip() + ("+changes" if changes.strip() else "")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
