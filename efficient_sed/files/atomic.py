"""Files that hold either their old content or the new, never half of it, and places where only one process writes."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from efficient_sed.errors import DataError

try:
    import fcntl
except ImportError:  # on Windows, which renames and removes no open file either
    fcntl = None  # type: ignore[assignment]

UNFINISHED = ".unfinished"
START_BYTES = 8192  # of a table, by which its kind is known: a line with the longest path
_looked_through: set[Path] = set()
_seeking = threading.Lock()


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
    reason = (
        errno.EISDIR
        if path.is_dir()
        else errno.ENOTDIR
        if there != path and not there.is_dir()
        else None
        if os.access(there, os.W_OK)
        else errno.EACCES
    )
    if reason is not None:
        raise OSError(reason, os.strerror(reason), str(path))


def check_replaceable(path: Path, is_own: Callable[[str], bool]) -> None:
    """The same for a table, whose name may be that of somebody's annotations.

    Args:
        path: Where it will be written.
        is_own: Whether a file that begins with this text is a table of the same kind, which may be replaced.

    Raises:
        OSError: As `check_writable`; a FileExistsError if another file is there, unless it is empty.
    """
    check_writable(path)
    if path.is_file() and not _is_stream(path):
        with path.open("rb") as file:
            start = file.read(START_BYTES).decode(errors="replace")
        if start and not is_own(start):
            raise FileExistsError(
                errno.EEXIST, "another file is there already; give another name, or delete it", str(path)
            )


def list_folder(folder: Path) -> list[Path]:
    """What lies in a folder, sorted.

    Raises:
        DataError: If it cannot be read.
    """
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror})") from error


def walk_files(folder: Path, on_error: Callable[[OSError], object] | None = None) -> Iterator[Path]:
    """All files below a folder, each once, in any order; hidden folders and those of a file system are left out, links to folders followed.

    Args:
        on_error: Takes errors of folders that cannot be read; default None: the first OSError is raised, where `Path.rglob` passes
            over it in silence.
    """

    def refuse(error: OSError) -> None:
        raise error

    waiting, seen = [folder], set()
    while waiting:  # links after all that is found without them, so that a file has its own name
        for parent, folders, names in os.walk(waiting.pop(0), onerror=on_error or refuse):
            real = os.path.realpath(parent)
            folders[:] = sorted(
                name for name in folders if not name.startswith(".") and name != "lost+found" and real not in seen
            )
            waiting += [path for name in folders if (path := Path(parent, name)).is_symlink()]
            if real not in seen:
                yield from (Path(parent, name) for name in names)
            seen.add(real)


def check_room(path: Path, num_bytes: int) -> None:
    """Raise now the OSError of a disk that is too full for a file of that size: HDF5 may crash where it finds no room."""
    free = shutil.disk_usage(path.parent).free
    if free < num_bytes:
        raise OSError(
            errno.ENOSPC,
            f"it needs {num_bytes / 1e9:.3g} GB, {path.parent.resolve()} has {free / 1e9:.3g} GB free",
            str(path),
        )


@contextlib.contextmanager
def opened_atomically(path: Path) -> Iterator[BinaryIO]:
    """A file to write piece by piece, which takes its place when the block ends without an error.

    Raises:
        OSError: As `write_atomically`.
    """
    if _is_stream(path) or (path.exists() and not path.resolve().is_file()):  # a device or a pipe
        with path.open("ab") as file:
            yield file
        return
    with written_beside(path) as temporary, temporary.open("wb") as file:
        yield file


def _is_stream(path: Path) -> bool:
    """Whether it stands for something that this process has open, perhaps a file that is appended to."""
    return str(path) in ("/dev/stdout", "/dev/stderr") or str(path.parent) in ("/dev/fd", "/proc/self/fd")


@contextlib.contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """A hidden empty file beside `path`, for what writes by name; it takes its place when the block ends without an error.

    Raises:
        OSError: As `write_atomically`.
    """
    path = path.resolve()  # a link is followed, not replaced
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_left(path)
    with contextlib.ExitStack() as opened:
        handle, temporary = _make_beside(path)
        opened.callback(os.close, handle)
        try:
            yield temporary
            os.fsync(handle)
            temporary.chmod(0o644)
            if fcntl is None:
                opened.close()
            temporary.replace(path)
        except BaseException:
            opened.close()
            temporary.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def locked(lock_file: Path, *, waits: bool = True) -> Iterator[None]:
    """Let no other process be in such a block with the same file; a kill leaves the file, but not its lock.

    Args:
        waits: Until the other process is done.

    Raises:
        TimeoutError: If there is another one and `waits` is False.
        OSError: If the file cannot be written.
    """
    from filelock import FileLock  # which a board without PyTorch may lack

    lock_file.touch()  # where none can be made, the lock would be waited for without end
    with FileLock(lock_file, blocking=waits):
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # Windows removes no open file
                lock_file.unlink()


def read_at(descriptor: int, size: int, position: int) -> bytes:
    """Up to `size` bytes of an open file from a position on, as `os.pread`, which Windows lacks."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, position)
    with _seeking:  # threads share the file's position
        os.lseek(descriptor, position, os.SEEK_SET)
        return os.read(descriptor, size)


def _make_beside(path: Path) -> tuple[int, Path]:
    """A new hidden file and its handle, which holds a lock as long as this process lives."""
    while True:
        handle, name = tempfile.mkstemp(UNFINISHED, f".{path.name}.", path.parent)
        _lock(handle, is_shared=True)
        if Path(name).exists():  # else another process took it for a left one before it was locked
            return handle, Path(name)
        os.close(handle)


def _remove_left(path: Path) -> None:
    """Remove the hidden files of processes that were killed while they wrote into this folder; those of living ones are locked. Once: folders may be large."""
    if path.parent in _looked_through:
        return
    _looked_through.add(path.parent)
    for left in path.parent.glob(f".*{UNFINISHED}"):
        with contextlib.suppress(OSError), left.open("r+b") as file:
            if _lock(file.fileno(), is_shared=False):
                left.unlink()


def _lock(handle: int, *, is_shared: bool) -> bool:
    """Whether the file is locked now; not where the system, or its file system, has no such locks."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
