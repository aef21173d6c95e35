"""Scores of events at one threshold, as the HEAR benchmark takes them for DCASE 2016 Task 2.

Turian et al., "HEAR: Holistic Evaluation of Audio Representations", NeurIPS 2021 competition track
(https://arxiv.org/abs/2203.03022); the metrics are those of Mesaros et al., "Metrics for polyphonic sound event
detection", 2016 (https://doi.org/10.3390/app6060162), and equal sed_eval's. Changed: without any detection the
F-measure is 0, there not a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from efficient_sed.data.events import Event
from efficient_sed.data.score_checks import check_scores
from efficient_sed.errors import DataError
from efficient_sed.metrics.contracts import METRICS, ClipMetric, Score, Setting
from efficient_sed.metrics.event.score import HitCounts
from efficient_sed.metrics.frame.score import count_errors
from efficient_sed.metrics.segment.score import SEGMENT_S
from efficient_sed.postprocessing.events import find_all_runs
from efficient_sed.postprocessing.median import smooth_scores


@METRICS.register("hear")
class OnsetScores(ClipMetric):
    """What `event_metrics` adds to runs on data with event scores; it needs all scores at once, before any filter."""

    use = "data"
    rank = 5
    scores = (
        Score("onset_f", "onset F", "onset F-measure", most=1.0, column="onset F"),
        Score("onset_f_macro", "onset F macro", "onset F-measure, mean over classes", most=1.0),
        Score(
            "segment_error_rate", "error rate", "error rate of segments", is_higher_better=False, column="error rate"
        ),
    )

    @classmethod
    def create(cls, setting: Setting) -> None:
        """None: not clip by clip."""


Events = Mapping[str, Sequence[Event]]


@dataclass(frozen=True)
class OnsetPostprocessing:
    """How frame scores become events."""

    median_s: float
    """Window of the median filter; it takes the nearest number of frames, even ones too, 0 for no filter."""
    min_duration_s: float
    """Shorter events are dropped, measured between the centres of their first and last frame."""
    threshold: float
    """A frame is active above this probability."""


HEAR_GRID = tuple(OnsetPostprocessing(0.25, min_duration_s, 0.5) for min_duration_s in (0.125, 0.25))


class EventScores(NamedTuple):
    """Event scores of a data set."""

    onset_f: float
    """F-measure of onsets, over all events: the number that HEAR reports."""
    onset_f_macro: float
    """Its mean over the classes that occur in the ground truth."""
    segment_error_rate: float
    """Substitutions, deletions and insertions in segments of a second, over the active ones of the ground truth.

    May exceed 1.
    """


def cut_events(
    scores: np.ndarray,
    classes: Sequence[str],
    hop_s: float,
    postprocessing: OnsetPostprocessing,
    clip_id: str | None = None,
) -> list[Event]:
    """Events by onset from scores (frames, classes), from the centre of the first active frame to that of the last.

    Raises:
        DataError: If a score is NaN or plus infinity; the message names the clip, if given.
    """
    check_scores("a clip" if clip_id is None else f"clip {clip_id!r}", scores, classes)
    smoothed = smooth_scores(scores, max(1, round(postprocessing.median_s / hop_s)))
    above = np.nextafter(smoothed.dtype.type(postprocessing.threshold), smoothed.dtype.type(np.inf))
    runs = find_all_runs(smoothed, [above])
    runs = runs.select(np.round((runs.last - 1 - runs.first) * hop_s, 6) >= postprocessing.min_duration_s)
    return sorted(runs.to_events((runs.first + 0.5) * hop_s, (runs.last - 0.5) * hop_s, classes))


def score_events(truth: Events, detected: Events, classes: Sequence[str]) -> EventScores:
    """Compare detected events with the true ones, clip by clip.

    Args:
        truth: Events by clip.
        detected: Events of the same clips.
        classes: Labels that are scored; all events have one of them.

    Raises:
        DataError: If there is no event in the ground truth, an event has another label, or the clips differ.
    """
    if different := truth.keys() ^ detected.keys():
        raise DataError(f"true and detected events are of different clips, such as {min(different)!r}")
    hits = HitCounts(classes, has_offsets=False)
    num_errors = num_active = 0
    for clip, events in truth.items():
        hits.add(events, detected[clip])
        errors, active = _segment_errors(events, detected[clip], classes)
        num_errors, num_active = num_errors + errors, num_active + active
    return EventScores(*hits.f1(), num_errors / num_active if num_active else float(num_errors))


def choose_postprocessing(
    truth: Events,
    scores: Mapping[str, np.ndarray],
    classes: Sequence[str],
    hop_s: float,
    grid: Sequence[OnsetPostprocessing] = HEAR_GRID,
) -> OnsetPostprocessing:
    """That of the grid with the highest onset F-measure, the earlier of equals; `scores` (frames, classes) by clip."""
    values = [score_events(truth, _cut_all(scores, classes, hop_s, entry), classes).onset_f for entry in grid]
    return grid[int(np.argmax(values))]


def event_metrics(
    truth: Events,
    scores: Mapping[str, np.ndarray],
    classes: Sequence[str],
    hop_s: float,
    postprocessing: OnsetPostprocessing | None = None,
) -> dict[str, Any]:
    """Event scores as a result carries them; without a postprocessing, with the best one on these very clips."""
    chosen = postprocessing or choose_postprocessing(truth, scores, classes, hop_s)
    found = _cut_all(scores, classes, hop_s, chosen)
    return {**score_events(truth, found, classes)._asdict(), "postprocessing": asdict(chosen)}


def _cut_all(
    scores: Mapping[str, np.ndarray], classes: Sequence[str], hop_s: float, how: OnsetPostprocessing
) -> Events:
    return {clip: cut_events(array, classes, hop_s, how, clip) for clip, array in scores.items()}


def _segment_errors(events: Sequence[Event], detected: Sequence[Event], classes: Sequence[str]) -> tuple[int, int]:
    """Errors in segments, and active segments of the ground truth: each class counts for itself."""
    num_segments = max((int(np.ceil(event.offset_s / SEGMENT_S)) for event in (*events, *detected)), default=0)
    truth, found = (_segments(some, classes, num_segments) for some in (events, detected))
    return count_errors((truth & ~found).sum(1), (found & ~truth).sum(1)), int(truth.sum())


def _segments(events: Sequence[Event], classes: Sequence[str], num_segments: int) -> np.ndarray:
    active = np.zeros((num_segments, len(classes)), dtype=bool)
    for event in events:
        active[
            int(event.onset_s // SEGMENT_S) : int(np.ceil(event.offset_s / SEGMENT_S)), list(classes).index(event.label)
        ] = True
    return active
