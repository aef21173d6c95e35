"""From true and detected events to errors, and which class was on instead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.events import Event, merge_overlapping
from efficient_sed.metrics.event.score import COLLAR_S, OFFSET_SHARE, match_events
from efficient_sed.metrics.event.sweep import EventCurves
from efficient_sed.postprocessing.events import decode_events

Kind = Literal["miss", "false alarm"]
MISS: Kind = "miss"
FALSE_ALARM: Kind = "false alarm"
NOTHING = -1
"""In place of a class."""


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
    """Counts and errors of some clips."""

    classes: Sequence[str]
    counts: np.ndarray
    """True, detected and found events, shape (classes, 3)."""
    curves: EventCurves
    """The same at every threshold."""
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
    grid: FrameGrid,
    collar: Collar = USUAL_COLLAR,
) -> Analysis:
    """Find all errors, clip by clip.

    Args:
        durations_s: Lengths of the clips in seconds, by clip.
        truth: True events of the clips, of these classes; those of one class that overlap count as one.
        scores: Post-processed scores of the clips, shape (frames, classes).
        thresholds: What each class's scores must reach.
        classes: Labels in the order of the scores.
        grid: From frames to seconds.
        collar: Which detected events count as found.
    """
    curves = EventCurves(classes, grid, collar_s=collar.collar_s, offset_share=collar.offset_share)
    found = Analysis(classes, np.zeros((len(classes), 3), int), curves)
    for clip, duration_s in durations_s.items():
        array = scores[clip]
        # what reaches the threshold of its class reaches 0
        reached = np.where(array >= np.asarray(thresholds, array.dtype), array, -np.inf)
        detected = tuple(decode_events(reached, classes, grid, 0.0, duration_s))
        events = ClipEvents(merge_overlapping(truth[clip]), detected)
        found.events[clip] = events
        curves.add(clip, array, events.truth, duration_s)
        _add_errors(found, clip, events, array, grid, collar)
    return found


_Columns = dict[int, list[Event]]


def _by_column(events: Iterable[Event], classes: Sequence[str]) -> _Columns:
    columns = {label: column for column, label in enumerate(classes)}
    by_column: _Columns = {}
    for event in events:
        by_column.setdefault(columns[event.label], []).append(event)
    return by_column


def _add_errors(
    found: Analysis, clip: str, both: ClipEvents, scores: np.ndarray, grid: FrameGrid, collar: Collar
) -> None:
    true, detected = _by_column(both.truth, found.classes), _by_column(both.detected, found.classes)
    for column in sorted(true.keys() | detected.keys()):
        wanted, events = true.get(column, []), detected.get(column, [])
        matched = _match(wanted, events, collar)
        found.counts[column] += len(wanted), len(events), (matched >= 0).sum()
        missed = [event for event, index in zip(wanted, matched, strict=True) if index < 0]
        false = [event for index, event in enumerate(events) if index not in matched]
        for kind, errors, others in ((MISS, missed, detected), (FALSE_ALARM, false, true)):
            for event in errors:
                score, peak_s = _peak(scores[:, column], event, grid)
                other = _overlapping(event, column, others)
                found.errors.append(Error(kind, clip, column, event.onset_s, event.offset_s, score, peak_s, other))


def _match(truth: list[Event], detected: list[Event], collar: Collar) -> np.ndarray:
    return match_events(truth, detected, has_offsets=True, collar_s=collar.collar_s, offset_share=collar.offset_share)


def _peak(scores: np.ndarray, event: Event, grid: FrameGrid) -> tuple[float, float]:
    """Highest score inside an event, and the middle of its frame in seconds."""
    first = min(grid.onset_frame(event.onset_s), len(scores) - 1)
    last = max(first + 1, grid.offset_frame(event.offset_s))
    frame = first + int(scores[first:last].argmax())
    return float(scores[frame]), (frame + 0.5) * grid.hop_s


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
