"""What a clip must fulfil before it can be scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from efficient_sed.data.events import Event, merge_overlapping
from efficient_sed.errors import ConfigError, DataError


def check_clip(
    clip_id: str, scores: np.ndarray, events: Sequence[Sequence[Any]], duration_s: float, classes: Sequence[str], frame_hop_s: float
) -> tuple[tuple[Event, ...], np.ndarray]:
    """Events of a clip, overlapping ones joined, and the times of its frames' borders, (frames + 1,).

    Raises:
        DataError: If scores, events or length make no sense; the message names clip and value.
        ConfigError: If the clip is too short for so many frames.
    """
    if scores.ndim != 2 or scores.shape[1] != len(classes) or len(scores) == 0:
        raise DataError(f"clip {clip_id!r}: scores have shape {scores.shape}; needed: (frames, {len(classes)} classes)")
    check_duration(clip_id, duration_s)
    known = frozenset(classes) if events else frozenset()
    for onset_s, offset_s, label, *_ in events:
        if label not in known:
            raise DataError(f"clip {clip_id!r}: event label {label!r} is not among the {len(classes)} classes")
        if not 0 <= onset_s < offset_s < np.inf:
            raise DataError(f"clip {clip_id!r}: event {label!r} has onset {onset_s} s and offset {offset_s} s; the onset must come first")
    borders = np.minimum(np.round(np.arange(len(scores) + 1) * frame_hop_s, 6), duration_s)
    if not (borders[1:] > borders[:-1]).all():
        raise ConfigError(f"clip {clip_id!r}: {len(scores)} frames of {frame_hop_s} s are more than a clip of {duration_s:g} s has")
    return merge_overlapping(Event(float(event[0]), float(event[1]), event[2]) for event in events), borders


def check_duration(clip_id: str, duration_s: float) -> None:
    """Raise a DataError unless a clip has a length."""
    if not 0 < duration_s < np.inf:
        raise DataError(f"clip {clip_id!r}: duration {duration_s} s must be above 0")


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
