"""The recordings that a detection is asked about: files, folders, or the standard input."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from efficient_sed.audio.encoded import SUFFIXES
from efficient_sed.audio.io import audio_info, find_audio
from efficient_sed.data.spelling import canonical
from efficient_sed.errors import DataError

STDIN = "-"


class Recording(NamedTuple):
    """An audio file."""

    path: Path
    name: str
    """What results call it: the path as it was typed or found."""
    output: Path
    """Path of its own results below a folder of results, without their ending."""
    duration_s: float


def find_recordings(paths: Iterable[Path]) -> tuple[list[Recording], list[str]]:
    """Collect files, and all audio files below folders.

    Returns:
        The recordings, those of a folder sorted, and messages about files that are not readable.

    Raises:
        DataError: For a folder without audio.
    """
    recordings: list[Recording] = []
    unreadable: list[str] = []
    for path in paths:
        known = len(unreadable)
        inside = (
            [(file, file.relative_to(path).with_suffix("")) for file in find_audio(path, unreadable)]
            if path.is_dir()
            else [(path, Path(path.stem))]
        )
        if not inside and len(unreadable) == known:
            raise DataError(f"{path}: no audio in this folder; files that end in {', '.join(SUFFIXES)} are taken")
        for file, output in inside:
            try:
                recordings.append(Recording(file, str(file), output, audio_info(file).duration_s))
            except DataError as error:
                unreadable.append(str(error))
    return recordings, unreadable


def check_outputs(recordings: Iterable[Recording]) -> None:
    """Check that results can be kept apart.

    Raises:
        DataError: If results of two recordings would have one name.
    """
    seen: dict[str, str] = {}
    for recording in recordings:
        if (other := seen.setdefault(canonical(str(recording.output)), recording.name)) != recording.name:
            raise DataError(
                f"{other} and {recording.name}: their results would both be called {recording.output}; "
                "give them one at a time"
            )


@contextlib.contextmanager
def spooled_stdin() -> Iterator[Recording]:
    """Keep the standard input, an audio file, in a temporary file.

    Raises:
        DataError: If it is empty or no audio.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stdin"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        try:
            yield Recording(path, "stdin", Path("stdin"), audio_info(path).duration_s)
        except DataError as error:
            raise DataError(str(error).replace(str(path), "stdin")) from error
