"""What the machine has too little of, told as a user's mistake: what to type instead."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from efficient_sed.errors import ConfigError

WORDS = (
    "can't allocate memory",
    "ALLOC_FAILED",
    "Storage size calculation overflowed",
)  # PyTorch's on a CPU, those of CUDA's libraries, and more than 64 bits can count

STATUS, RESET_PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_PEAK_LINE = re.compile(r"^VmHWM:\s*(\d+) kB$", re.MULTILINE)
_LOST_WORKER = re.compile(
    r"DataLoader worker \(pid.*\) (?:is killed by signal: ([\w ]+)|exited unexpectedly)"
)  # not what one raised


def process_peak_mb() -> float | None:
    """The most memory that this process has had since its start, or since `reset_peak`, in MB (2**20 bytes).

    Returns:
        The peak of the resident memory; None where the system does not tell (Windows).
    """
    if (peak := _PEAK_LINE.search(STATUS.read_text(encoding="utf-8")) if STATUS.is_file() else None) is not None:
        return round(int(peak[1]) / 2**10, 1)
    try:
        import resource
    except ImportError:
        return None
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10), 1)


def reset_peak() -> bool:
    """Let the peak of this process start at what it has now.

    Returns:
        Whether the system can: Linux can, unless a container protects the file.
    """
    try:
        RESET_PEAK.write_text("5", encoding="utf-8")
    except OSError:
        return False
    return True


@contextlib.contextmanager
def enough_memory(work: str, advice: str) -> Iterator[None]:
    """Raise a ConfigError in place of whatever PyTorch raises when memory runs out.

    Args:
        work: What it ran out in.
        advice: What to type instead.
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
        or (isinstance(error, RuntimeError) and any(word in str(error) for word in WORDS))
    )


def explain(error: BaseException) -> str | None:
    """What to say of an error that nobody expected where it came from: memory that ran out, or a process that decodes audio and is gone. None of others."""
    if is_memory(error):
        return "out of memory; give a smaller size or batch, shorter clips, or a smaller model"
    gone = _LOST_WORKER.match(str(error)) if isinstance(error, RuntimeError) else None
    if gone is None:
        return None
    if "shared memory" in str(error):
        return "a process that decodes audio found too little shared memory (/dev/shm); raise its limit, or give data.num_workers=0"
    return f"a process that decodes audio ended ({gone[1] or 'unexpectedly'}), perhaps for lack of memory; what is saved is kept, and data.num_workers=0 does without"
