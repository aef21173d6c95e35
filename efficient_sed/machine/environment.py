"""Where a result came from: commit, versions, device.

PyTorch is imported only by functions that need it, since boards with exported models run without it.
"""

from __future__ import annotations

import contextlib
import functools
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from efficient_sed.errors import require

if TYPE_CHECKING:
    import torch

CPU_INFO = Path("/proc/cpuinfo")
BOARD = Path("/proc/device-tree/model")
PACKAGES = (
    "efficient-sed", "torch", "torchaudio", "pytorch-lightning", "numpy", "scipy", "numba", "soundfile",
    "sed_scores_eval",
)  # fmt: skip


def describe_environment(device: str, packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """Describe the commit (with a mark for uncommitted changes), package versions, machine and time.

    Args:
        device: Name of the device that was used.
        packages: Names of the packages whose versions to state.
    """
    return {
        "commit": git_commit(),
        "versions": {"python": platform.python_version(), **{name: package_version(name) for name in packages}},
        "device": device,
        "platform": platform.platform(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def choose_device(wanted: str, key: str) -> torch.device:
    """Choose the device to compute on. "cpu" never touches a GPU's driver.

    Args:
        wanted: "cpu", "gpu", or "auto" for a GPU if there is one.
        key: Name of the option, for the message.

    Raises:
        ConfigError: If a GPU is wanted and torch finds none.
    """
    import torch

    if wanted != "cpu":
        for name, is_available in (("cuda", torch.cuda.is_available), ("mps", torch.backends.mps.is_available)):
            if is_available():
                return torch.device(name)
        require(wanted == "auto", key, wanted, f"this machine has no GPU that torch can use; give {key}=cpu")
    return torch.device("cpu")


def may_have_gpu() -> bool:
    """Whether torch might find a GPU, told without importing it."""
    drivers = (Path("/dev/nvidiactl"), Path("/dev/kfd"))
    return sys.platform == "darwin" or shutil.which("nvidia-smi") is not None or any(map(Path.exists, drivers))


def device_name(device: torch.device) -> str:
    """Name a device as results quote it; if the name cannot be read, say that it is unknown, and why."""
    import torch

    try:
        if device.type == "cuda":
            return torch.cuda.get_device_name(device)
        return f"{cpu_name()} (MPS)" if device.type == "mps" else f"CPU {cpu_name()}, {torch.get_num_threads()} threads"
    except Exception as error:  # a missing name must not cost a result
        return f"{device.type} of unknown name ({one_line(error)})"


def one_line(error: BaseException) -> str:
    """Describe an error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split()) if str(error) else type(error).__name__


def cpu_name() -> str:
    """Name the processor, or the board on a single-board computer."""
    if BOARD.is_file():
        return BOARD.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    if sys.platform == "darwin":
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            words = ["sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines() if CPU_INFO.is_file() else []
    fields = {key.strip(): value.strip() for key, colon, value in (line.partition(":") for line in lines) if colon}
    return fields.get("model name") or fields.get("Hardware") or platform.processor() or platform.machine()


def git_commit() -> str:
    """Commit of the checkout that this package runs from, with `+changes` if it has uncommitted ones.

    Returns:
        "unknown" for an installed copy.
    """
    package = Path(__file__).resolve().parents[1]
    git = functools.partial(subprocess.run, cwd=package, capture_output=True, text=True, check=True)
    try:
        git(["git", "ls-files", "--error-unmatch", "__init__.py"])
        commit, changes = (
            git(["git", "rev-parse", "HEAD"]).stdout,
            git(["git", "status", "--porcelain", "--", "."]).stdout,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit.strip() + ("+changes" if changes.strip() else "")


def package_version(package: str) -> str | None:
    """Version of an installed package, which is not imported; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
