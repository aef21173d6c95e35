"""What a clip must fulfil before it can be scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from efficient_sed.data.events import Event, merge_overlapping
from efficient_sed.data.score_checks import check_labels, check_shape
from efficient_sed.data.spelling import by_spelling, canonical
from efficient_sed.errors import ConfigError, DataError, ShapeError

REAL_KINDS = "biuf"  # of numpy's types: truth values, whole and floating-point numbers


def check_clip(
    clip_id: str,
    scores: ArrayLike,
    events: Iterable[Sequence[Any]],
    duration_s: float,
    classes: Sequence[str],
    frame_hop_s: float,
) -> tuple[np.ndarray, tuple[Event, ...], np.ndarray]:
    """Scores as an array, events with overlapping ones joined, and the times of the frames' borders, (frames + 1,).

    Whether scores are numbers is not checked: the exact back end finds out while it sweeps them.

    Raises:
        DataError: If scores, events or length make no sense; the message names clip and value.
        ConfigError: If the clip is too short for so many frames.
    """
    where, array = f"clip {clip_id!r}", _to_array(clip_id, scores)
    check_shape(where, array, classes)
    if len(array) == 0:
        raise ShapeError(f"{where}: scores have shape {array.shape}; needed: at least one frame")
    check_duration(where, duration_s)
    triples = _to_triples(clip_id, events)
    if any(isinstance(label, str) and not label.isascii() for _, _, label in triples):
        spelled = by_spelling(classes)
        triples = [(onset_s, offset_s, spelled.get(canonical(label), label)) for onset_s, offset_s, label in triples]
    if triples:
        check_labels(where, (label for _, _, label in triples), classes)
    for onset_s, offset_s, label in triples:
        if not all(isinstance(time_s, Real) for time_s in (onset_s, offset_s)):
            raise DataError(
                f"{where}: event {label!r} has onset {onset_s!r} and offset {offset_s!r}; needed: seconds as numbers"
            )
        if not 0 <= onset_s < offset_s < np.inf:
            raise DataError(
                f"{where}: event {label!r} has onset {onset_s} s and offset {offset_s} s; the onset must come first"
            )
    borders = np.minimum(np.round(np.arange(len(array) + 1) * frame_hop_s, 6), duration_s)
    if not (borders[1:] > borders[:-1]).all():
        raise ConfigError(
            f"clip {clip_id!r}: {len(array)} frames of {frame_hop_s} s are more than a clip of {duration_s:g} s has"
        )
    return (
        array,
        merge_overlapping(Event(float(onset_s), float(offset_s), label) for onset_s, offset_s, label in triples),
        borders,
    )


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
