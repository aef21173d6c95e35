"""F-measures of events at one threshold, with collars around their borders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.events import Event
from efficient_sed.data.score_checks import check_labels, check_scores
from efficient_sed.metrics.contracts import METRICS, ClipMetric, Score, Setting
from efficient_sed.metrics.event.score import COLLAR_S, OFFSET_SHARE, HitCounts
from efficient_sed.postprocessing.events import find_all_runs, runs_to_events

THRESHOLD = 0.5


@METRICS.register("event")
class CollarCounts(ClipMetric):
    """Decodes events at one threshold clip by clip and counts hits: of onsets and offsets, and of onsets alone.

    Detected events of classes that a clip lacks are false alarms wherever they lie, and only counted.
    """

    rank = 4
    scores = (
        Score("event_f1", "event F1", "F1 of events, onset and offset", most=1.0),
        Score("event_f1_macro", "event F1 macro", "F1 of events, mean over classes", most=1.0),
        Score("event_onset_f1", "onset F1", "F1 of events, onset alone", most=1.0),
        Score("event_onset_f1_macro", "onset F1 macro", "F1 of events, onset alone, mean over classes", most=1.0),
    )

    def __init__(self, classes: Sequence[str], grid: FrameGrid) -> None:
        self.classes, self.grid = classes, grid
        self._column = {label: column for column, label in enumerate(classes)}
        self._both, self._onsets = (HitCounts(classes, has_offsets=has_offsets) for has_offsets in (True, False))

    @classmethod
    def create(cls, setting: Setting) -> Self:
        """An empty one for a run."""
        return cls(setting.classes, setting.grid)

    def update(self, clip_id: str, scores: np.ndarray, events: Sequence[Event], duration_s: float) -> None:
        """Add a clip: scores (frames, classes), its events, its length.

        Raises:
            DataError: If a score is NaN or plus infinity, or an event has another label; the message names the clip.
        """
        check_scores(f"clip {clip_id!r}", scores, self.classes)
        check_labels(f"clip {clip_id!r}", (event.label for event in events), self.classes)
        runs = find_all_runs(scores, [THRESHOLD])
        is_there = np.zeros(len(self.classes), dtype=bool)
        is_there[[self._column[event.label] for event in events]] = True
        detected = runs_to_events(runs.select(is_there[runs.column]), self.classes, self.grid, duration_s)
        num_others = np.where(is_there, 0, np.bincount(runs.column, minlength=len(self.classes)))
        for counts in (self._both, self._onsets):
            counts.add(events, detected)
            counts.add_detected(num_others)

    def merge(self, other: CollarCounts) -> None:
        """Take over the counts of another process."""
        self._both.merge(other._both)
        self._onsets.merge(other._onsets)

    def metrics(self) -> dict[str, Any]:
        """F-measures over all events and as means over classes.

        Raises:
            DataError: If there is no event in the ground truth.
        """
        (both, both_macro), (onset, onset_macro) = self._both.f1(), self._onsets.f1()
        variant = {"event_threshold": THRESHOLD, "event_collar_s": COLLAR_S, "event_offset_share": OFFSET_SHARE}
        return {
            "event_f1": both,
            "event_f1_macro": both_macro,
            "event_onset_f1": onset,
            "event_onset_f1_macro": onset_macro,
            "variant": variant,
        }
