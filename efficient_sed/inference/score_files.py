"""Scores of every frame of a recording: kept, or written into an npz file while they are made."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from efficient_sed.errors import DataError
from efficient_sed.files.atomic import opened_atomically


class FrameScores(NamedTuple):
    """What is also in an npz file."""

    scores: np.ndarray
    """Shape (frames, classes)."""
    classes: Sequence[str]
    hop_s: float
    """Seconds of a frame."""


def keep_scores(pieces: Iterable[np.ndarray], kept: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Hand on consecutive scores, and put them into a list."""
    for piece in pieces:
        kept.append(piece)
        yield piece


def write_scores(
    path: Path, pieces: Iterable[np.ndarray], num_frames: int, classes: Sequence[str], hop_s: float
) -> Iterator[np.ndarray]:
    """Hand on consecutive scores (frames, classes), and write them beside: `scores` in float32, `classes`, and `hop_s`, the seconds of a frame.

    The file takes its place after the last piece; until then, and if there never is one, what was there before stays.

    Args:
        num_frames: Of the whole recording; it stands before the scores.

    Raises:
        DataError: If the file cannot be written.
    """
    try:
        with opened_atomically(path) as unfinished, zipfile.ZipFile(unfinished, "w") as archive:
            with archive.open("scores.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array_header_2_0(
                    file, {"descr": "<f4", "fortran_order": False, "shape": (num_frames, len(classes))}
                )  # type: ignore[no-untyped-call]
                for piece in pieces:
                    file.write(np.ascontiguousarray(piece, dtype="<f4").tobytes())
                    yield piece
            for name, array in (("classes", np.array(classes)), ("hop_s", np.array(hop_s))):
                with archive.open(f"{name}.npy", "w") as file:
                    np.lib.format.write_array(file, array)  # type: ignore[no-untyped-call]
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error})") from error
