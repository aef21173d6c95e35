"""Listing folders, walking through them, and the free space on their disk."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from efficient_sed.errors import DataError
from efficient_sed.files.atomic import write_atomically


def list_folder(folder: Path) -> list[Path]:
    """List what is in a folder, sorted.

    Raises:
        DataError: If the folder cannot be read.
    """
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror})") from error


def walk_files(folder: Path, on_error: Callable[[OSError], object] | None = None) -> Iterator[Path]:
    """Yield every file below a folder once, in no particular order.

    Hidden folders and `lost+found` are left out. Links to folders are followed.

    Args:
        folder: Where to begin.
        on_error: Called with the error of each folder that cannot be read. Default None: raise the first one.

    Raises:
        OSError: If a folder cannot be read and `on_error` is None.
    """

    def raise_error(error: OSError) -> None:
        raise error

    waiting, seen = [folder], set()
    while waiting:  # links come last, so that a file that can be reached without one keeps its own name
        for parent, folders, names in os.walk(waiting.pop(0), onerror=on_error or raise_error):
            real = os.path.realpath(parent)
            folders[:] = sorted(
                name for name in folders if not name.startswith(".") and name != "lost+found" and real not in seen
            )
            waiting += [path for name in folders if (path := Path(parent, name)).is_symlink()]
            if real not in seen:
                yield from (Path(parent, name) for name in names)
            seen.add(real)


def check_free_space(path: Path, num_bytes: int) -> None:
    """Check that a file of a given size fits on the disk, because HDF5 may crash on a full one.

    Args:
        path: The file that will be written; its folder exists.
        num_bytes: Its size.

    Raises:
        OSError: If the disk has less free space.
    """
    free = shutil.disk_usage(path.parent).free
    if free < num_bytes:
        lack = f"it needs {num_bytes / 1e9:.3g} GB, {path.parent.resolve()} has {free / 1e9:.3g} GB free"
        raise OSError(errno.ENOSPC, lack, str(path))


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files below a folder: a new folder appears when all are written, in an old one they are replaced in turn.

    Args:
        folder: Where to write.
        files: Contents by path in the folder.

    Raises:
        OSError: If a file cannot be written.
    """
    if folder.exists():
        for name, content in files.items():
            write_atomically(folder / name, content)
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        unfinished = Path(temporary) / folder.name
        for name, content in files.items():
            (unfinished / name).parent.mkdir(parents=True, exist_ok=True)
            (unfinished / name).write_bytes(content)
        unfinished.rename(folder)
