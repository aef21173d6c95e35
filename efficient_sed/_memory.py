"""Too little memory, told as a user's mistake: what to type instead."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from efficient_sed.errors import ConfigError

WORDS = ("can't allocate memory", "ALLOC_FAILED")  # PyTorch's on a CPU, and those of CUDA's libraries


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
