"""From true and detected events to errors, and which class was on instead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal, NamedTuple

import numpy as np

from efficient_sed.data.events import Event, merge_overlapping
from efficient_sed.metrics.event.score import COLLAR_S, OFFSET_SHARE, match_events
from efficient_sed.postprocessing.events import find_all_runs

Kind = Literal["miss", "false alarm"]
MISS: Kind = "miss"
FALSE_ALARM: Kind = "false alarm"
NOTHING = -1
"""In place of a class."""
LEVELS = (0.01, 0.02, *(round(0.05 * step, 2) for step in range(1, 20)), 0.98, 0.99)
"""Thresholds of precision-recall curves."""


@dataclass(frozen=True)
class Collar:
    """How far the borders of a detected event may be off."""

    collar_s: float = COLLAR_S
    """Seconds, of an onset or offset."""
    offset_share: float = OFFSET_SHARE
    """Share of the event's length, of an offset, where that is more."""


USUAL_COLLAR = Collar()


class Error(NamedTuple):
    """A missed event, or a detected one that is no true one."""

    kind: Kind
    clip: str
    column: int
    """Of its class."""
    onset_s: float
    offset_s: float
    score: float
    """Highest of its class inside."""
    peak_s: float
    """Where that is."""
    other: int
    """Class that is on there, in the truth at a false alarm, among the detected ones at a miss: its own if the borders
    are off, else the one that overlaps most, or NOTHING."""


class ClipEvents(NamedTuple):
    """Of one clip."""

    truth: tuple[Event, ...]
    detected: tuple[Event, ...]


@dataclass
class Analysis:
    """Counts, curves and errors of some clips."""

    classes: Sequence[str]
    counts: np.ndarray
    """True, detected and found events, shape (classes, 3)."""
    level_counts: np.ndarray
    """Detected and found events at each of LEVELS, shape (classes, levels, 2)."""
    events: dict[str, ClipEvents] = field(default_factory=dict)
    """By clip."""
    errors: list[Error] = field(default_factory=list)

    def confusion(self, kind: Kind) -> dict[tuple[int, int], int]:
        """How often errors of a class happened while another, or NOTHING, was on."""
        return dict(Counter((error.column, error.other) for error in self.errors if error.kind == kind))


def analyse(
    durations_s: Mapping[str, float],
    truth: Mapping[str, Sequence[Event]],
    scores: Mapping[str, np.ndarray],
    thresholds: Sequence[float],
    classes: Sequence[str],
    hop_s: float,
    collar: Collar = USUAL_COLLAR,
) -> Analysis:
    """Find all errors, clip by clip.

    Args:
        durations_s: Lengths of the clips in seconds, by clip.
        truth: True events of the clips, of these classes; those of one class that overlap count as one.
        scores: Post-processed scores of the clips, shape (frames, classes).
        thresholds: What each class's scores must reach.
        classes: Labels in the order of the scores.
        hop_s: Seconds of a frame.
        collar: Which detected events count as found.
    """
    found = Analysis(classes, np.zeros((len(classes), 3), int), np.zeros((len(classes), len(LEVELS), 2), int))
    for clip, duration_s in durations_s.items():
        true, array = _by_column(merge_overlapping(truth[clip]), classes), scores[clip]
        # what reaches the threshold of its class reaches 0
        reached = np.where(array >= np.asarray(thresholds, array.dtype), array, -np.inf)
        ((_, detected),) = _decoded(reached, (0.0,), hop_s, duration_s, classes)
        _count_levels(found, true, array, hop_s, duration_s, collar)
        _add_errors(found, clip, true, detected, array, hop_s, collar)
    return found


_Columns = dict[int, list[Event]]


def _by_column(events: Iterable[Event], classes: Sequence[str]) -> _Columns:
    columns = {label: column for column, label in enumerate(classes)}
    by_column: _Columns = {}
    for event in events:
        by_column.setdefault(columns[event.label], []).append(event)
    return by_column


def _decoded(
    scores: np.ndarray, levels: Sequence[float], hop_s: float, duration_s: float, classes: Sequence[str]
) -> Iterable[tuple[int, _Columns]]:
    """Events by class, at ascending thresholds."""
    runs = find_all_runs(scores, levels)
    for level in range(len(levels)):
        own = runs.select(runs.level == level)
        yield (
            level,
            _by_column(own.to_events(own.first * hop_s, np.minimum(own.last * hop_s, duration_s), classes), classes),
        )


def _count_levels(
    found: Analysis, true: _Columns, scores: np.ndarray, hop_s: float, duration_s: float, collar: Collar
) -> None:
    for level, detected in _decoded(scores, LEVELS, hop_s, duration_s, found.classes):
        for column, events in detected.items():
            hits = _match(true.get(column, []), events, collar) >= 0
            found.level_counts[column, level] += len(events), hits.sum()


def _add_errors(
    found: Analysis, clip: str, true: _Columns, detected: _Columns, scores: np.ndarray, hop_s: float, collar: Collar
) -> None:
    found.events[clip] = ClipEvents(*(tuple(sorted(chain.from_iterable(side.values()))) for side in (true, detected)))
    for column in sorted(true.keys() | detected.keys()):
        wanted, events = true.get(column, []), detected.get(column, [])
        matched = _match(wanted, events, collar)
        found.counts[column] += len(wanted), len(events), (matched >= 0).sum()
        missed = [event for event, index in zip(wanted, matched, strict=True) if index < 0]
        false = [event for index, event in enumerate(events) if index not in matched]
        for kind, errors, others in ((MISS, missed, detected), (FALSE_ALARM, false, true)):
            for event in errors:
                score, peak_s = _peak(scores[:, column], event, hop_s)
                other = _overlapping(event, column, others)
                found.errors.append(Error(kind, clip, column, event.onset_s, event.offset_s, score, peak_s, other))


def _match(truth: list[Event], detected: list[Event], collar: Collar) -> np.ndarray:
    return match_events(truth, detected, has_offsets=True, collar_s=collar.collar_s, offset_share=collar.offset_share)


def _peak(scores: np.ndarray, event: Event, hop_s: float) -> tuple[float, float]:
    """Highest score inside an event, and the middle of its frame in seconds."""
    first = min(int(np.floor(round(event.onset_s / hop_s, 6))), len(scores) - 1)
    last = max(first + 1, int(np.ceil(round(event.offset_s / hop_s, 6))))
    frame = first + int(scores[first:last].argmax())
    return float(scores[frame]), (frame + 0.5) * hop_s


def _overlapping(event: Event, column: int, others: _Columns) -> int:
    """The class whose events overlap an event for the longest; its own one, if it does at all."""
    shared = {
        other: sum(max(0.0, min(event.offset_s, e.offset_s) - max(event.onset_s, e.onset_s)) for e in events)
        for other, events in others.items()
    }
    if shared.get(column):
        return column
    longest = max(sorted(shared), key=lambda other: shared[other], default=NOTHING)
    return longest if shared.get(longest) else NOTHING
