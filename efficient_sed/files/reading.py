"""Reading open files at a position."""

from __future__ import annotations

import os
import threading

_SEEK_LOCK = threading.Lock()


def read_at(descriptor: int, size: int, position: int) -> bytes:
    """Read up to `size` bytes of an open file from a position: `os.pread`, which Windows lacks."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, position)
    with _SEEK_LOCK:  # threads share the position of the file
        os.lseek(descriptor, position, os.SEEK_SET)
        return os.read(descriptor, size)
