"""Writing folders so that they appear only when they are complete."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from efficient_sed.errors import DataError
from efficient_sed.files.locks import locked


def write_folder(folder: Path, write: Callable[[Path], None], key: str = "data.root") -> Path:
    """Have a folder written unless it is there; another process that wants the same waits.

    Args:
        folder: What it is to be called.
        write: Fills a hidden folder, which is renamed at the end; leftovers of a killed process are removed first.
        key: Option that names the folder above, for messages.

    Raises:
        DataError: If it cannot be written.
    """
    root = folder.parent
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{key}={root}: cannot be written ({error.strerror}); give a writable folder as {key}=DIR"
        ) from error
    try:
        with locked(root / f".{folder.name}.lock"):
            if not folder.is_dir():  # another process may have made it while this one waited
                with unfinished_folder(folder) as unfinished:
                    write(unfinished)
                    unfinished.replace(folder)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be written ({error.strerror}); free some space or give another folder as {key}=DIR"
        ) from error
    return folder


@contextlib.contextmanager
def unfinished_folder(output: Path) -> Iterator[Path]:
    """Create a hidden empty folder beside `output`, to be renamed when it is complete.

    What a killed process left of it is removed first, and what is not renamed at the end.
    """
    unfinished = output.parent / f".{output.name}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir()
        yield unfinished
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
