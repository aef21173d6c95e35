"""What a clip must fulfil before it can be scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from functools import lru_cache
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from efficient_sed.data.score_checks import check_labels, check_shape
from efficient_sed.data.spelling import by_spelling, canonical
from efficient_sed.errors import ConfigError, DataError, ShapeError

REAL_KINDS = "biuf"  # of numpy's types: truth values, whole and floating-point numbers


EventRow = tuple[int, float, float]
"""Number of the class, onset and offset in seconds."""
_TIMES = frozenset({float, int, np.float64, np.float32})  # types that need no further look


def check_clip(
    clip_id: str,
    scores: ArrayLike,
    events: Iterable[Sequence[Any]],
    duration_s: float,
    columns: Mapping[str, int],
    frame_hop_s: float,
) -> tuple[np.ndarray, list[EventRow], np.ndarray]:
    """Scores as an array, events by class and onset, and the times of the frames' borders, (frames + 1,).

    Events of one class that overlap or touch are joined. Whether scores are numbers is not checked: the exact back end
    finds out while it sweeps them.

    Args:
        clip_id: Name of the clip.
        scores: Shape (frames, classes).
        events: Onset and offset in seconds and label of each.
        duration_s: Length of the clip in seconds.
        columns: Labels in the order of the score columns, and their numbers.
        frame_hop_s: Seconds of a frame.

    Raises:
        DataError: If scores, events or length make no sense; the message names clip and value.
        ConfigError: If the clip is too short for so many frames.
    """
    array = _to_array(clip_id, scores)
    if array.ndim != 2 or array.shape[1] != len(columns):
        check_shape(f"clip {clip_id!r}", array, list(columns))
    if len(array) == 0:
        raise ShapeError(f"clip {clip_id!r}: scores have shape {array.shape}; needed: at least one frame")
    if type(duration_s) is not float or not 0 < duration_s < np.inf:
        check_duration(f"clip {clip_id!r}", duration_s)
    rows = _to_rows(clip_id, events, columns)
    try:
        borders = _frame_borders(len(array), frame_hop_s, duration_s)
    except ValueError as error:
        raise ConfigError(f"clip {clip_id!r}: {error}") from error
    return array, rows, borders


def _to_rows(clip_id: str, events: Iterable[Sequence[Any]], columns: Mapping[str, int]) -> list[EventRow]:
    """Events by class and onset; those of one class that overlap or touch are joined."""
    rows: list[EventRow] = []
    for onset_s, offset_s, label in _to_triples(clip_id, events):
        column = columns.get(label) if isinstance(label, str) else None
        if column is None:
            column = _find_column(clip_id, label, columns)
        if not (type(onset_s) in _TIMES and type(offset_s) in _TIMES and 0 <= onset_s < offset_s < np.inf):
            _check_times(clip_id, onset_s, offset_s, label)
        rows.append((column, float(onset_s), float(offset_s)))
    if len(rows) < 2:
        return rows
    rows.sort()
    joined = [rows[0]]
    for row in rows[1:]:
        column, onset_s, offset_s = joined[-1]
        if row[0] != column or row[1] > offset_s:
            joined.append(row)
        elif row[2] > offset_s:
            joined[-1] = (column, onset_s, row[2])
    return joined


def _find_column(clip_id: str, label: Any, columns: Mapping[str, int]) -> int:
    """The column of a label that is spelled otherwise, or is none."""
    spelled = by_spelling(columns).get(canonical(label), label) if isinstance(label, str) else label
    check_labels(f"clip {clip_id!r}", [spelled], list(columns))
    return columns[spelled]


def _check_times(clip_id: str, onset_s: Any, offset_s: Any, label: str) -> None:
    where = f"clip {clip_id!r}: event {label!r} has onset"
    if not all(isinstance(time_s, Real) for time_s in (onset_s, offset_s)):
        raise DataError(f"{where} {onset_s!r} and offset {offset_s!r}; needed: seconds as numbers")
    if not 0 <= onset_s < offset_s < np.inf:
        raise DataError(f"{where} {onset_s} s and offset {offset_s} s; the onset must come first")


@lru_cache(maxsize=8)  # most clips of a data set are alike
def _frame_borders(num_frames: int, frame_hop_s: float, duration_s: float) -> np.ndarray:
    """Times of the frames' borders, the last one at most the clip's end; a ValueError if a frame lies behind it."""
    borders = np.minimum(np.round(np.arange(num_frames + 1) * frame_hop_s, 6), float(duration_s))
    if not (borders[1:] > borders[:-1]).all():
        raise ValueError(f"{num_frames} frames of {frame_hop_s} s are more than a clip of {duration_s:g} s has")
    return borders


def check_duration(where: str, duration_s: float) -> None:
    """Raise a DataError unless it is the length of a clip."""
    if not isinstance(duration_s, Real):
        raise DataError(f"{where}: duration {duration_s!r} is not a number of seconds")
    if not 0 < duration_s < np.inf:
        raise DataError(f"{where}: duration {duration_s} s must be above 0")


def _to_array(clip_id: str, scores: ArrayLike) -> np.ndarray:
    try:
        array = np.asarray(scores)
    except (ValueError, TypeError, RuntimeError) as error:  # unequal rows; tensors on a GPU or with a gradient
        reason = str(error).splitlines()[0]
        needed = "needed: real numbers (frames, classes)"
        raise DataError(f"clip {clip_id!r}: scores make no array ({reason}); {needed}") from error
    if array.dtype.kind not in REAL_KINDS:
        raise DataError(f"clip {clip_id!r}: scores are of type {array.dtype}; needed: real numbers (frames, classes)")
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _to_triples(clip_id: str, events: Iterable[Sequence[Any]]) -> list[tuple[Any, Any, Any]]:
    """Onset, offset and label of each event; what stands behind them is left out."""
    triples = []
    _check_sequence(clip_id, "its events are", events)
    try:
        for event in events:
            if not isinstance(event, tuple):
                _check_sequence(clip_id, "one of its events is", event)
            onset_s, offset_s, label, *_ = event
            triples.append((onset_s, offset_s, label))
    except (TypeError, ValueError) as error:
        raise DataError(f"clip {clip_id!r}: events must be (onset_s, offset_s, label) each ({error})") from error
    return triples


def _check_sequence(clip_id: str, what: str, value: Any) -> None:
    """Refuse what could be iterated over, but gives characters, keys or names of columns."""
    if isinstance(value, str | bytes | Mapping) or hasattr(value, "columns"):
        given = f"{what} a {type(value).__name__}"
        raise DataError(f"clip {clip_id!r}: {given}; needed: a list of (onset_s, offset_s, label)")


def check_columns(classes: Sequence[str], frame_hop_s: float) -> None:
    """Raise a DataError unless every column has a label of its own, a ConfigError unless the hop is a length."""
    if not isinstance(frame_hop_s, Real) or not 0 < frame_hop_s < np.inf:
        raise ConfigError(f"frame_hop_s={frame_hop_s!r} is not allowed: seconds of a frame, above 0")
    if isinstance(classes, str | Set) or not isinstance(classes, Collection):  # a set has no order of columns
        raise DataError(f"classes={classes!r} is not allowed: a list of labels, such as ['dog', 'siren']")
    if len(classes) == 0:
        raise DataError("PSDS needs at least one class, got none")
    for label in classes:
        if not isinstance(label, str):
            raise DataError(f"class {label!r} is not allowed: labels are text")
    label, count = Counter(map(canonical, classes)).most_common(1)[0]
    if count > 1:
        raise DataError(f"class {label!r} is there {count} times; every score column needs a label of its own")
