"""How the C library hands out memory to a program of ours.

Layers of 32 MB and more are mapped anew by glibc at each pass and given back after it, and the kernel clears every page again: of a training step of
dnd-sed's separable network on a CPU that is two fifths of the time. Memory that was freed is kept instead, at the price of a larger process.
"""

from __future__ import annotations

import contextlib
import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
LARGEST_KEPT = 1 << 30


def keep_freed_memory() -> bool:
    """Let this process use freed memory again rather than return it, up to blocks of 1 GiB; whether its C library can (glibc)."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT) and mallopt(M_TRIM_THRESHOLD, 2 * LARGEST_KEPT - 1))


def return_freed_memory() -> None:
    """Give the system back what is free now (glibc), so that the process is no larger than what it holds."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
