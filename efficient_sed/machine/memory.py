"""Memory: the peak of this process, and errors that say that memory ran out."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from efficient_sed.errors import ConfigError

PEAK_RESET = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")
OUT_OF_MEMORY = (
    "can't allocate memory",  # PyTorch on a CPU
    "ALLOC_FAILED",  # the libraries of CUDA
    "Storage size calculation overflowed",  # PyTorch: more than 64 bits can count
)
_LOST_WORKER = re.compile(  # a worker that died, not one that raised an error
    r"DataLoader worker \(pid.*\) (?:is killed by signal: ([\w ]+)|exited unexpectedly)"
)


def process_peak_mb() -> float | None:
    """Read the peak memory of this process, in MB, since its start or since `reset_process_peak`.

    Returns:
        None where the system does not report it (Windows).
    """
    with contextlib.suppress(OSError):
        for line in STATUS.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 2**10, 1)
    try:
        import resource
    except ImportError:
        return None
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10), 1)


def reset_process_peak() -> bool:
    """Start the peak of this process again from what it holds now.

    Returns:
        Whether that is possible: on Linux, unless a container forbids it.
    """
    try:
        PEAK_RESET.write_text("5", encoding="utf-8")
    except OSError:
        return False
    return True


@contextlib.contextmanager
def enough_memory(work: str, advice: str) -> Iterator[None]:
    """Turn any error that says that memory ran out into a ConfigError.

    Args:
        work: The work of the block, as "in a training with train.batch_size=64".
        advice: What to type instead.

    Raises:
        ConfigError: If memory runs out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if is_memory(error):
            raise ConfigError(f"out of memory {work}; {advice}") from error
        raise


def is_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and any(text in str(error) for text in OUT_OF_MEMORY))
    )


def explain(error: BaseException) -> str | None:
    """Explain an unexpected error that comes from the machine: out of memory, or a lost process that decodes audio.

    Returns:
        One line for the user; None for other errors.
    """
    if is_memory(error):
        return "out of memory; give a smaller size or batch, shorter clips, or a smaller model"
    lost = _LOST_WORKER.match(str(error)) if isinstance(error, RuntimeError) else None
    if lost is None:
        return None
    if "shared memory" in str(error):
        return (
            "a process that decodes audio found too little shared memory (/dev/shm); raise its limit, "
            "or give data.num_workers=0"
        )
    return (
        f"a process that decodes audio ended ({lost[1] or 'unexpectedly'}), perhaps for lack of memory; "
        "what is saved is kept, and data.num_workers=0 does without"
    )
