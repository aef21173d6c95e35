"""What a clip must fulfil before it can be scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from efficient_sed.data.events import Event, merge_overlapping
from efficient_sed.errors import ConfigError, DataError

REAL_KINDS = "biuf"  # of numpy's types: truth values, whole and floating-point numbers


def check_clip(
    clip_id: str, scores: ArrayLike, events: Iterable[Sequence[Any]], duration_s: float, classes: Sequence[str], frame_hop_s: float
) -> tuple[np.ndarray, tuple[Event, ...], np.ndarray]:
    """Scores of a clip as an array, its events, overlapping ones joined, and the times of its frames' borders, (frames + 1,).

    Raises:
        DataError: If scores, events or length make no sense; the message names clip and value.
        ConfigError: If the clip is too short for so many frames.
    """
    array = _to_array(clip_id, scores)
    if array.ndim != 2 or array.shape[1] != len(classes) or len(array) == 0:
        raise DataError(f"clip {clip_id!r}: scores have shape {array.shape}; needed: (frames, {len(classes)} classes)")
    check_duration(clip_id, duration_s)
    triples = _to_triples(clip_id, events)
    known = frozenset(classes) if triples else frozenset()
    for onset_s, offset_s, label in triples:
        if not isinstance(label, str) or label not in known:
            raise DataError(f"clip {clip_id!r}: event label {label!r} is not among the {len(classes)} classes")
        if not all(isinstance(time_s, Real) for time_s in (onset_s, offset_s)):
            raise DataError(f"clip {clip_id!r}: event {label!r} has onset {onset_s!r} and offset {offset_s!r}; needed: seconds as numbers")
        if not 0 <= onset_s < offset_s < np.inf:
            raise DataError(f"clip {clip_id!r}: event {label!r} has onset {onset_s} s and offset {offset_s} s; the onset must come first")
    borders = np.minimum(np.round(np.arange(len(array) + 1) * frame_hop_s, 6), duration_s)
    if not (borders[1:] > borders[:-1]).all():
        raise ConfigError(f"clip {clip_id!r}: {len(array)} frames of {frame_hop_s} s are more than a clip of {duration_s:g} s has")
    return array, merge_overlapping(Event(float(onset_s), float(offset_s), label) for onset_s, offset_s, label in triples), borders


def check_duration(clip_id: str, duration_s: float) -> None:
    """Raise a DataError unless a clip has a length."""
    if not isinstance(duration_s, Real):
        raise DataError(f"clip {clip_id!r}: duration {duration_s!r} is not a number of seconds")
    if not 0 < duration_s < np.inf:
        raise DataError(f"clip {clip_id!r}: duration {duration_s} s must be above 0")


def _to_array(clip_id: str, scores: ArrayLike) -> np.ndarray:
    try:
        array = np.asarray(scores)
    except (ValueError, TypeError, RuntimeError) as error:  # rows of unequal length; tensors on a GPU or with a gradient
        raise DataError(f"clip {clip_id!r}: scores make no array ({str(error).splitlines()[0]}); needed: real numbers (frames, classes)") from error
    if array.dtype.kind not in REAL_KINDS:
        raise DataError(f"clip {clip_id!r}: scores are of type {array.dtype}; needed: real numbers (frames, classes)")
    return array


def _to_triples(clip_id: str, events: Iterable[Sequence[Any]]) -> list[tuple[Any, Any, Any]]:
    """Onset, offset and label of each event; what stands behind them is left out."""
    triples = []
    try:
        for event in events:
            onset_s, offset_s, label, *_ = event
            triples.append((onset_s, offset_s, label))
    except (TypeError, ValueError) as error:
        raise DataError(f"clip {clip_id!r}: events must be (onset_s, offset_s, label) each ({error})") from error
    return triples


def nan_error(clip_id: str, scores: np.ndarray, classes: Sequence[str]) -> DataError:
    """The error of a clip with a score that is not a number; names its class."""
    return DataError(f"clip {clip_id!r}: a score of class {classes[int(np.argwhere(np.isnan(scores))[0, 1])]!r} is not a number")


def check_classes(classes: Sequence[str]) -> None:
    """Raise a DataError if there is no label or one stands for two columns."""
    if not classes:
        raise DataError("PSDS needs at least one class, got none")
    label, count = Counter(classes).most_common(1)[0]
    if count > 1:
        raise DataError(f"class {label!r} is there {count} times; every score column needs a label of its own")
