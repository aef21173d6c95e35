"""The audio files that annotations are about, where they name them without ending or folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from efficient_sed.audio.encoded import SUFFIXES
from efficient_sed.data.spelling import FolderNames, canonical
from efficient_sed.errors import DataError

if TYPE_CHECKING:
    from efficient_sed.data.annotations.contract import Events
    from efficient_sed.data.events import Event


def named_as_audio(events: Events, audio: Path, folder: Path | None = None) -> dict[str, Sequence[Event]]:
    """Events by the name of an audio file, relative to the folder of audio.

    A name is that of a file, or that without its ending. Annotations in a folder of their own may lie as the audio
    does, as a folder of that name in it does (`labels/train/a.txt` and `audio/train/a.wav`), or beside it; last, a name
    without folder and ending may be that of any one file. What is not found keeps its name.

    Args:
        events: By name.
        audio: Folder of the audio files.
        folder: That of the annotations, if each recording has a file of its own.

    Raises:
        DataError: If a name may be that of several files, or two are that of one.
    """
    spelled, finder = FolderNames(audio), _Finder(audio)
    prefixes = [PurePosixPath()]
    if folder is not None:
        is_inside = folder.resolve().is_relative_to(audio.resolve())
        prefixes.insert(0, PurePosixPath(folder.resolve().relative_to(audio.resolve()) if is_inside else folder.name))
    named: dict[str, Sequence[Event]] = {}
    owners: dict[str, str] = {}
    for name, own in events.items():
        paths = [(prefix / name).as_posix() for prefix in prefixes]
        if folder is None and _has_ending(name):
            found = name
        else:
            exact = (path for path in paths if _is_file(spelled, path))
            found = next(exact, None) or finder.find(name, paths) or name
        if (other := owners.setdefault(found, name)) != name:
            raise DataError(f"{folder or audio}: {other!r} and {name!r} are both about {found}; remove one")
        named[found] = own
    return named


class _Finder:
    """Audio files by their names without ending; the folder is read when it is first needed."""

    def __init__(self, audio: Path) -> None:
        self._audio = audio
        self._by_path: dict[str, list[str]] | None = None
        self._by_name: dict[str, list[str]] = {}

    def find(self, name: str, paths: Sequence[str]) -> str | None:
        """The file of that name, looked for at these paths and then anywhere; None if there is none."""
        if _has_ending(name):
            return None
        from efficient_sed.audio.io import find_audio  # help lists the formats beside this file without numpy

        if self._by_path is None:
            self._by_path = {}
            for file in find_audio(self._audio, []):
                own = PurePosixPath(canonical(file.relative_to(self._audio).as_posix()))
                self._by_path.setdefault(own.with_suffix("").as_posix(), []).append(own.as_posix())
                self._by_name.setdefault(own.stem, []).append(own.as_posix())
        found = next((self._by_path[path] for path in paths if path in self._by_path), None)
        found = found or self._by_name.get(name, [])
        if len(found) > 1:
            raise DataError(f"{self._audio}: annotations of {name!r} may be about {' or '.join(sorted(found))}")
        return found[0] if found else None


def _is_file(spelled: FolderNames, name: str) -> bool:
    """Whether there is such a file; what is wrong with a name is said when its audio is opened."""
    try:
        return spelled.path(name).is_file()
    except (OSError, DataError):
        return False


def without_ending(name: str) -> str:
    """A name without the ending of audio files; other dots are part of it."""
    return PurePosixPath(name).with_suffix("").as_posix() if _has_ending(name) else name


def _has_ending(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES
