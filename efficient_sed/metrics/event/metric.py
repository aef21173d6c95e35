"""F-measures of events, with collars around their borders: at a run's thresholds, and at the best ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.events import Event
from efficient_sed.data.score_checks import check_labels, check_scores
from efficient_sed.metrics.contracts import METRICS, ClipMetric, Score, Setting
from efficient_sed.metrics.event.score import COLLAR_S, OFFSET_SHARE, HitCounts
from efficient_sed.metrics.event.sweep import EventCurves
from efficient_sed.metrics.psds.roc import HOUR_S
from efficient_sed.metrics.thresholds import THRESHOLD, BestThresholds, describe_thresholds, number
from efficient_sed.postprocessing.events import find_all_runs, runs_to_events


@METRICS.register("event")
class CollarCounts(ClipMetric):
    """Decodes events at one threshold a class, and counts hits: of onsets and offsets, and of onsets alone.

    Detected events of classes that a clip lacks are false alarms wherever they lie, and only counted.

    Args:
        classes: Labels of the score columns.
        grid: From frames to seconds.
        thresholds: Of each class; default None: 0.5 for all.
        collar_s: By how many seconds an onset or offset may be off.
        offset_share: An offset may be off by this share of the event's length, where that is more.
    """

    is_of_events = True
    rank = 4
    scores = (
        Score("event_f1", "event F1", "F1 of events, onset and offset", most=1.0),
        Score(
            "event_f1_macro",
            "event F1 macro",
            "F1 of events, mean over classes",
            most=1.0,
            column="event F1",
            is_last_in_csv=True,
            tuned_column="event F1 tuned",
        ),
        Score("event_onset_f1", "onset F1", "F1 of events, onset alone", most=1.0),
        Score("event_onset_f1_macro", "onset F1 macro", "F1 of events, onset alone, mean over classes", most=1.0),
    )

    def __init__(
        self,
        classes: Sequence[str],
        grid: FrameGrid,
        thresholds: Sequence[float] | None = None,
        *,
        collar_s: float = COLLAR_S,
        offset_share: float = OFFSET_SHARE,
    ) -> None:
        self.classes, self.grid, self.thresholds = classes, grid, thresholds
        self.collar_s, self.offset_share = collar_s, offset_share
        self._durations: list[float] = []
        self._column = {label: column for column, label in enumerate(classes)}
        self._both, self._onsets = (
            HitCounts(classes, has_offsets=has_offsets, collar_s=collar_s, offset_share=offset_share)
            for has_offsets in (True, False)
        )

    @classmethod
    def create(cls, setting: Setting) -> Self:
        """An empty one for a run."""
        collar_s, offset_share = setting.config.collar_s, setting.config.offset_share
        return cls(setting.classes, setting.grid, setting.thresholds, collar_s=collar_s, offset_share=offset_share)

    def update(self, clip_id: str, scores: np.ndarray, events: Sequence[Event], duration_s: float) -> None:
        """Add a clip: scores (frames, classes), its events, its length.

        Raises:
            DataError: If a score is NaN or plus infinity, or an event has another label; the message names the clip.
        """
        check_scores(f"clip {clip_id!r}", scores, self.classes)
        check_labels(f"clip {clip_id!r}", (event.label for event in events), self.classes)
        levels = np.asarray(THRESHOLD if self.thresholds is None else self.thresholds, scores.dtype)
        runs = find_all_runs((scores >= levels).astype(np.float32), [1.0])
        is_there = np.zeros(len(self.classes), dtype=bool)
        is_there[[self._column[event.label] for event in events]] = True
        detected = runs_to_events(runs.select(is_there[runs.column]), self.classes, self.grid, duration_s)
        num_others = np.where(is_there, 0, np.bincount(runs.column, minlength=len(self.classes)))
        for counts in (self._both, self._onsets):
            counts.add(events, detected)
            counts.add_detected(num_others)
        self._durations.append(duration_s)

    def merge(self, other: CollarCounts) -> None:
        """Take over the counts of another process."""
        self._durations += other._durations
        self._both.merge(other._both)
        self._onsets.merge(other._onsets)

    def metrics(self) -> dict[str, Any]:
        """F-measures over all events and as means over classes, and the counts of each class.

        Raises:
            DataError: If there is no event in the ground truth.
        """
        (both, both_macro), (onset, onset_macro) = self._both.f1(), self._onsets.f1()
        variant = {
            "event_threshold": describe_thresholds(self.thresholds),
            "event_collar_s": self.collar_s,
            "event_offset_share": self.offset_share,
        }
        return {
            "event_f1": both,
            "event_f1_macro": both_macro,
            "event_onset_f1": onset,
            "event_onset_f1_macro": onset_macro,
            "per_class_events": self.per_class(),
            "variant": variant,
        }

    def per_class(self) -> dict[str, dict[str, Any]]:
        """What is found, missed and raised by mistake of each class, of those that never occur, too.

        Shares are None where there is nothing to take them of.
        """
        hits, num_true, num_detected = self._both.counts
        hours = math.fsum(self._durations) / HOUR_S  # exact, so that the order of clips does not matter
        levels = np.broadcast_to(THRESHOLD if self.thresholds is None else self.thresholds, len(self.classes))
        counts = BestThresholds(levels, hits, num_detected, num_true)
        precision, recall, f1 = (list(map(number, share)) for share in (counts.precision, counts.recall, counts.f1))
        return {
            label: {
                "events": int(num_true[c]),
                "found": int(hits[c]),
                "missed": int(num_true[c] - hits[c]),
                "false_alarms": int(num_detected[c] - hits[c]),
                "false_alarms_per_hour": float((num_detected[c] - hits[c]) / hours),
                "precision": precision[c],
                "recall": recall[c],
                "f1": f1[c],
                "threshold": float(levels[c]),
            }
            for c, label in enumerate(self.classes)
        }


@METRICS.register("event_best")
class BestEventScores(ClipMetric):
    """Event F1 at the best threshold of each class; memory grows by 18 bytes for each rise and fall of a score."""

    is_of_events = True
    use = "request"
    rank = 21
    scores = (
        Score(
            "event_best_f1_macro",
            "best event F1",
            "F1 of events at the best threshold of each class, mean over classes",
            most=1.0,
        ),
    )

    def __init__(self, curves: EventCurves) -> None:
        self.curves = curves

    @classmethod
    def create(cls, setting: Setting) -> Self:
        """An empty one for a run."""
        collar_s, offset_share = setting.config.collar_s, setting.config.offset_share
        return cls(EventCurves(setting.classes, setting.grid, collar_s=collar_s, offset_share=offset_share))

    def update(self, clip_id: str, scores: np.ndarray, events: Sequence[Event], duration_s: float) -> None:
        """Add a clip: scores (frames, classes), its events, its length."""
        self.curves.add(clip_id, scores, events, duration_s)

    def merge(self, other: BestEventScores) -> None:
        """Take over the clips of another process."""
        self.curves.merge(other.curves)

    def metrics(self) -> dict[str, Any]:
        """Mean over classes, and the best threshold of each.

        The thresholds are chosen on the very clips that are scored: a bound, no result of a system.
        """
        best = self.curves.best()
        variant = {"event_collar_s": self.curves.collar_s, "event_offset_share": self.curves.offset_share}
        return {
            "event_best_f1_macro": number(best.macro_f1),
            "event_best": best.by_class(self.curves.classes),
            "variant": variant,
        }
