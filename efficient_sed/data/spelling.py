"""Names and labels that Unicode writes in two ways: é as one character (NFC), or as e and an accent (NFD, macOS)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from efficient_sed.errors import DataError
from efficient_sed.files.folders import list_folder

_LATIN_ACCENTS = re.compile("[\u0300-\u036f]")  # other marks make another letter, as in Japanese and Hindi


def canonical(text: str) -> str:
    """The one spelling (NFC) under which names and labels are compared."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def canonical_path(name: str) -> str:
    """The one spelling of a recording's name, a path: ./a.wav is a.wav."""
    return PurePosixPath(canonical(name)).as_posix() if name else ""


def is_below(name: str) -> bool:
    """Whether a relative name stays below the folder that it is relative to."""
    path = Path(name)
    return not path.is_absolute() and ".." not in path.parts


def without_accents(text: str) -> str:
    """A label without case and accents, to find two that are probably meant to be one."""
    return _LATIN_ACCENTS.sub("", unicodedata.normalize("NFD", text)).casefold()


def check_spellings(names: Iterable[str], where: str = "") -> None:
    """Raise a DataError for two names that look the same and are spelled differently."""
    seen: dict[str, str] = {}
    for name in names:
        if not name.isascii() and (other := seen.setdefault(canonical(name), name)) != name:
            both = f"{other!a} and {name!a}"
            raise DataError(f"{where}{both} are one name in two Unicode spellings; rename or remove one")


def by_spelling(names: Iterable[Any], where: str = "") -> dict[Any, Any]:
    """Names, of which text may be spelled in two ways, by their one spelling.

    Raises:
        DataError: If two of them look the same.
    """
    known = list(names)
    check_spellings((name for name in known if isinstance(name, str)), where)
    return {canonical(name) if isinstance(name, str) else name: name for name in known}


class FolderNames:
    """Files below a folder by their relative names, in either spelling."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._listed: dict[Path, dict[str, list[str]]] = {}

    def path(self, name: str) -> Path:
        """Where a file lies; what is not there is given as it is spelled.

        Raises:
            DataError: If two files have that name, in different spellings, or a folder cannot be read.
        """
        if name.isascii():
            return self.folder / name
        path = self.folder
        for part in Path(name).parts:
            spelled = [part] if part.isascii() else self._entries(path).get(canonical(part), [part])
            check_spellings(spelled, f"{path}: ")
            path /= spelled[0]
        return path

    def _entries(self, folder: Path) -> dict[str, list[str]]:
        if folder not in self._listed:
            found: dict[str, list[str]] = {}
            for entry in list_folder(folder) if folder.is_dir() else ():
                if not entry.name.isascii():
                    found.setdefault(canonical(entry.name), []).append(entry.name)
            self._listed[folder] = found
        return self._listed[folder]
