"""Files that hold either their old content or the new, never half of it."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: Path, data: bytes) -> None:
    """Write, flush to disk, rename.

    Raises:
        OSError: If the disk is full or the folder cannot be written; what was there before is untouched.
    """
    with opened_atomically(path) as file:
        file.write(data)


def check_writable(path: Path) -> None:
    """Raise now, before long work, the OSError that writing a file there would raise."""
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    reason = errno.ENOTDIR if there != path and not there.is_dir() else None if os.access(there, os.W_OK) else errno.EACCES
    if reason is not None:
        raise OSError(reason, os.strerror(reason), str(path))


@contextlib.contextmanager
def opened_atomically(path: Path) -> Iterator[BinaryIO]:
    """A file to write piece by piece, which takes its place when the block ends without an error.

    Raises:
        OSError: As `write_atomically`.
    """
    path = path.resolve()  # a link is followed, not replaced
    if path.exists() and not path.is_file():  # a device or a pipe
        with path.open("wb") as file:
            yield file
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
