"""What every score must fulfil before anything smooths, joins or counts it: a median filter would hide NaN.

NaN and plus infinity are refused; minus infinity is a score that no threshold reaches, as in sed_scores_eval.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from efficient_sed.errors import DataError, ShapeError, nearest


def check_scores(
    where: str,
    scores: np.ndarray,
    classes: Sequence[str],
    *,
    first_frame: int = 0,
    needs_finite: bool = False,
) -> None:
    """Raise unless there is a score for every frame and class, and none is NaN or plus infinity.

    Args:
        where: The clip or file, for the message.
        scores: Shape (frames, classes).
        classes: Labels of the columns.
        first_frame: Number of the first frame, for the message.
        needs_finite: Refuse minus infinity too.

    Raises:
        ShapeError: If the shape is another one.
        DataError: If a score is no number; the message names class and frame.
    """
    if scores.ndim != 2 or scores.shape[1] != len(classes):
        raise ShapeError(f"{where}: scores have shape {scores.shape}; needed: (frames, {len(classes)} classes)")
    if bad := _first_bad(scores, needs_finite=needs_finite):
        frame, column = bad
        wanted = "finite number" if needs_finite else "number"
        place = f"{scores[bad]} in frame {first_frame + frame}"
        raise DataError(f"{where}: a score of class {classes[column]!r} is not a {wanted} ({place})")


def check_clip_scores(scores: np.ndarray, classes: Sequence[str], clip_ids: Sequence[str] | None = None) -> None:
    """The same for one score a clip and class, shape (clips, classes); without ids the message counts clips from 0."""
    if scores.ndim != 2 or scores.shape[1] != len(classes):
        raise ShapeError(f"scores have shape {scores.shape}; needed: (clips, {len(classes)} classes)")
    if bad := _first_bad(scores):
        clip, column = bad
        name = clip if clip_ids is None else repr(clip_ids[clip])
        raise DataError(f"clip {name}: the score of class {classes[column]!r} is not a number ({scores[bad]})")


def check_labels(where: str, labels: Iterable[Any], classes: Sequence[str]) -> None:
    """Raise a DataError unless every event has one of the classes."""
    known = frozenset(classes)
    for label in labels:
        if not isinstance(label, str) or label not in known:
            hint = f"; {nearest(label, classes)}" if isinstance(label, str) else ""
            raise DataError(f"{where}: event label {label!r} is not among the {len(classes)} classes{hint}")


def _first_bad(scores: np.ndarray, *, needs_finite: bool = False) -> tuple[int, int] | None:
    """Row and column of a score that is no number; None if all are."""
    if scores.size == 0 or (scores.max() < np.inf and not (needs_finite and scores.min() == -np.inf)):
        return None
    is_bad = ~np.isfinite(scores) if needs_finite else ~(scores < np.inf)
    row, column = np.argwhere(is_bad)[0]
    return int(row), int(column)
