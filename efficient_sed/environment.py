"""What a result must say of where it came from: commit, versions, device."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("efficient-sed", "torch", "torchaudio", "pytorch-lightning", "numpy", "scipy", "numba", "soundfile", "sed_scores_eval")


def describe_environment() -> dict[str, Any]:
    """Commit (with a mark for uncommitted changes), package versions, machine and time."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return {
        "commit": git_commit(),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "device": device_name(device),
        "platform": platform.platform(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def device_name(device: torch.device) -> str:
    """Name of a device as results quote it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")] if info.is_file() else []
    return f"CPU {names[0] if names else platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"


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
