"""Writing files so that they hold either their old content or the new, never half of it."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from efficient_sed.files.locks import HAS_FLOCK, lock_open_file

UNFINISHED = ".unfinished"
MAX_START = 40  # characters of a file's name in that of its unfinished one
START_BYTES = 8192  # enough to recognise a table that quotes the longest path
_cleaned_folders: set[Path] = set()


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file beside `path`, flush it to disk, and rename it to `path`.

    Raises:
        OSError: If the disk is full or the folder cannot be written. An older file at `path` stays as it was.
    """
    with opened_atomically(path) as file:
        file.write(data)


def check_writable(path: Path) -> None:
    """Raise the error that writing a file would raise, before long work rather than after it.

    Raises:
        OSError: If the file cannot be written.
    """
    existing = next(place for place in (path, *path.absolute().parents) if place.exists())
    for name in path.absolute().parts[len(existing.absolute().parts) :]:
        (existing / name).exists()  # raises for a name that is too long, which that of a missing folder hides
    reason = None
    if path.is_dir():
        reason = errno.EISDIR
    elif existing != path and not existing.is_dir():
        reason = errno.ENOTDIR
    elif not os.access(existing, os.W_OK):
        reason = errno.EACCES
    if reason is not None:
        raise OSError(reason, os.strerror(reason), str(path))


def check_replaceable(path: Path, is_own: Callable[[str], bool]) -> None:
    """Raise the error that writing a file would raise, also if it would replace a file of another kind.

    Args:
        path: The file that will be written.
        is_own: Whether a file that begins with this text may be replaced.

    Raises:
        OSError: If the file cannot be written.
        FileExistsError: If a file of another kind is there, unless it is empty.
    """
    check_writable(path)
    if path.is_file() and not _is_open_stream(path):
        with path.open("rb") as file:
            start = file.read(START_BYTES).decode(errors="replace")
        if start and not is_own(start):
            reason = "another file is there already; give another name, or delete it"
            raise FileExistsError(errno.EEXIST, reason, str(path))


def names_program(start: str) -> bool:
    """Return whether a picture or page that begins with this text says that it was written by this program."""
    return "efficient_sed" in start


@contextlib.contextmanager
def opened_atomically(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write piece by piece; it takes its place when the block ends without an error.

    Raises:
        OSError: As `write_atomically`.
    """
    if _is_open_stream(path) or (path.exists() and not path.resolve().is_file()):  # a device or a pipe
        with path.open("ab") as file:
            yield file
        return
    with written_beside(path) as temporary, temporary.open("wb") as file:
        yield file


@contextlib.contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """Create a hidden empty file beside `path` for code that writes by file name.

    It takes the place of `path` when the block ends without an error, and is removed otherwise.

    Raises:
        OSError: As `write_atomically`.
    """
    path = path.resolve()  # a link is followed, not replaced
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_unfinished(path.parent)
    with contextlib.ExitStack() as opened:
        descriptor, temporary = _create_unfinished(path)
        opened.callback(os.close, descriptor)
        try:
            yield temporary
            os.fsync(descriptor)
            temporary.chmod(0o644)
            if not HAS_FLOCK:
                opened.close()  # Windows renames no open file
            temporary.replace(path)
        except BaseException:
            opened.close()
            temporary.unlink(missing_ok=True)
            raise


def _is_open_stream(path: Path) -> bool:
    """Whether a path names something that this process has open, perhaps a file that is appended to."""
    return str(path) in ("/dev/stdout", "/dev/stderr") or str(path.parent) in ("/dev/fd", "/proc/self/fd")


def _create_unfinished(path: Path) -> tuple[int, Path]:
    """Create a hidden file; its descriptor holds a lock for as long as this process lives."""
    while True:
        start = path.name[:MAX_START]  # so that any name that a disk takes can be written
        descriptor, name = tempfile.mkstemp(UNFINISHED, f".{start}.", path.parent)
        lock_open_file(descriptor, is_shared=True)
        if Path(name).exists():  # else another process removed it as unfinished before it was locked
            return descriptor, Path(name)
        os.close(descriptor)


def _remove_unfinished(folder: Path) -> None:
    """Remove the hidden files that killed processes left in a folder; those of living processes are locked.

    Done once for each folder and process, since folders may be large.
    """
    if folder in _cleaned_folders:
        return
    _cleaned_folders.add(folder)
    for unfinished in folder.glob(f".*{UNFINISHED}"):
        with contextlib.suppress(OSError), unfinished.open("r+b") as file:
            if lock_open_file(file.fileno(), is_shared=False):
                unfinished.unlink()
