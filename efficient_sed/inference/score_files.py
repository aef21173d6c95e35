"""Scores of every frame of a recording: kept in memory, or written into an npz file while they are computed."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from efficient_sed.errors import DataError
from efficient_sed.files.atomic import opened_atomically


class FrameScores(NamedTuple):
    """Scores of a recording, as an npz file holds them."""

    scores: np.ndarray
    """Shape (frames, classes)."""
    classes: Sequence[str]
    hop_s: float
    """Seconds of a frame."""


def keep_scores(pieces: Iterable[np.ndarray], kept: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Pass consecutive scores (frames, classes) on, and append them to a list."""
    for piece in pieces:
        kept.append(piece)
        yield piece


def write_scores(
    path: Path,
    pieces: Iterable[np.ndarray],
    num_frames: int,
    classes: Sequence[str],
    hop_s: float,
    applied: Sequence[Mapping[str, Any]] = (),
) -> Iterator[np.ndarray]:
    """Pass consecutive scores on, and write them into an npz file.

    The file holds `scores` (frames, classes) in float32, `classes`, `hop_s`, the seconds of a frame, and
    `postprocessing`, what was applied to the scores, as JSON: a list of methods with their parameters. It replaces an
    earlier one after the last piece only.

    Args:
        path: The file.
        pieces: Scores (frames, classes).
        num_frames: Of the whole recording; the file states it in front of the scores.
        classes: Labels in the order of the scores.
        hop_s: Seconds of a frame.
        applied: What was applied to the scores, as `Chain.to_list` gives it; default, nothing.

    Yields:
        The pieces.

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
            facts = {"classes": classes, "hop_s": hop_s, "postprocessing": json.dumps(applied)}
            for name, value in facts.items():
                with archive.open(f"{name}.npy", "w") as file:
                    np.lib.format.write_array(file, np.array(value))  # type: ignore[no-untyped-call]
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error})") from error
