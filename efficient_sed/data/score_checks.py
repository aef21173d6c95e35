"""What every score must fulfil before anything smooths, joins or counts it: a median filter would hide NaN.

NaN and plus infinity are refused; minus infinity is a score that no threshold reaches, as in sed_scores_eval.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from efficient_sed.errors import DataError, ShapeError, nearest


def check_scores(
    where: str, scores: np.ndarray, classes: Sequence[str], *, first_frame: int = 0, needs_finite: bool = False
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
    check_shape(where, scores, classes)
    if _has_bad(scores, needs_finite=needs_finite):
        raise bad_score(where, scores, classes, first_frame=first_frame, needs_finite=needs_finite)


def check_shape(where: str, scores: np.ndarray, classes: Sequence[str]) -> None:
    """The part of `check_scores` that looks at no score."""
    if scores.ndim != 2 or scores.shape[1] != len(classes):
        raise ShapeError(f"{where}: scores have shape {scores.shape}; needed: (frames, {len(classes)} classes)")


def bad_score(
    where: str, scores: np.ndarray, classes: Sequence[str], *, first_frame: int = 0, needs_finite: bool = False
) -> DataError:
    """The error of scores one of which is no number."""
    frame, column = _first_bad(scores, needs_finite=needs_finite)
    wanted, value = "finite number" if needs_finite else "number", scores[frame, column]
    place = f"{value} in frame {first_frame + frame}"
    return DataError(f"{where}: a score of class {classes[column]!r} is not a {wanted} ({place})")


def check_clip_scores(scores: np.ndarray, classes: Sequence[str], clip_ids: Sequence[str] | None = None) -> None:
    """The same for one score a clip and class, shape (clips, classes); without ids the message counts clips from 0."""
    if scores.ndim != 2 or scores.shape[1] != len(classes):
        raise ShapeError(f"scores have shape {scores.shape}; needed: (clips, {len(classes)} classes)")
    if _has_bad(scores):
        clip, column = _first_bad(scores)
        name, value = clip if clip_ids is None else repr(clip_ids[clip]), scores[clip, column]
        raise DataError(f"clip {name}: the score of class {classes[column]!r} is not a number ({value})")


def check_labels(where: str, labels: Iterable[Any], classes: Sequence[str]) -> None:
    """Raise a DataError unless every event has one of the classes."""
    known = frozenset(classes)
    for label in labels:
        if not isinstance(label, str) or label not in known:
            hint = f"; {nearest(label, classes)}" if isinstance(label, str) else ""
            raise DataError(f"{where}: event label {label!r} is not among the {len(classes)} classes{hint}")


def _has_bad(scores: np.ndarray, *, needs_finite: bool = False) -> bool:
    """Whether a score is no number; quick, as it stands in every metric: the maximum of what has NaN is NaN."""
    return scores.size > 0 and not (scores.max() < np.inf and not (needs_finite and scores.min() == -np.inf))


def _first_bad(scores: np.ndarray, *, needs_finite: bool = False) -> tuple[int, int]:
    """Row and column of a score that is no number, which there must be."""
    is_bad = ~np.isfinite(scores) if needs_finite else ~(scores < np.inf)
    row, column = np.argwhere(is_bad)[0]
    return int(row), int(column)
