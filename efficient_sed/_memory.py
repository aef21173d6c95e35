"""What the machine has too little of, told as a user's mistake: what to type instead."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from efficient_sed.errors import ConfigError

WORDS = ("can't allocate memory", "ALLOC_FAILED", "Storage size calculation overflowed")  # PyTorch's on a CPU, those of CUDA's libraries, and more than 64 bits can count


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
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or (isinstance(error, RuntimeError) and any(word in str(error) for word in WORDS))


def explain(error: BaseException) -> str | None:
    """What to say of an error that nobody expected where it came from: memory that ran out, or a process that decodes audio and was killed. None of others."""
    if is_memory(error):
        return "out of memory; give a smaller size or batch, shorter clips, or a smaller model"
    if isinstance(error, RuntimeError) and "DataLoader worker" in str(error):
        return "a process that decodes audio was killed, perhaps for lack of memory; what is saved is kept, and fewer take less: data.num_workers=1"
    return None
