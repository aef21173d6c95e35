"""Files that a command writes beside what a user has: checked before, and never replaced unasked."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from efficient_sed.errors import ConfigError


def check_outputs(paths: Iterable[Path], inputs: Iterable[Path], *, is_overwritten: bool, what: str = "") -> None:
    """Check that files can be written and lose nothing.

    Args:
        paths: Files that will be written.
        inputs: Files that are read.
        is_overwritten: Whether older files are replaced.
        what: What may have happened to an older file, for messages, such as ", perhaps corrected".

    Raises:
        ConfigError: If a file cannot be written, is one that is read, or is there already.
    """
    from efficient_sed.files.atomic import check_writable

    read, written = {path.resolve() for path in inputs}, list(paths)
    files = set(written)
    for path in written:
        if path.resolve() in read:
            raise ConfigError(f"{path}: is what is read, and would be lost; give another name")
        try:
            is_there = path.is_file()
            check_writable(path)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written ({error.strerror})") from error
        if is_there and not is_overwritten:
            raise ConfigError(f"{path}: is there already{what}; give another name, or --overwrite")
        if parent := next((parent for parent in path.parents if parent in files), None):
            raise ConfigError(f"{path}: cannot be written, since {parent} is a file that is written, too; rename one")


def write_output(path: Path, content: bytes) -> None:
    """Write a file atomically; raise a ConfigError if it cannot be written."""
    from efficient_sed.files.atomic import write_atomically

    try:
        write_atomically(path, content)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from error
