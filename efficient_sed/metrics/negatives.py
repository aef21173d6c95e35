"""False alarms on recordings that hold no event of any class: each detected event is one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from efficient_sed.data.events import Event
from efficient_sed.data.score_checks import check_scores
from efficient_sed.metrics.contracts import METRICS, ClipMetric, Score, Setting
from efficient_sed.metrics.psds.roc import HOUR_S
from efficient_sed.metrics.thresholds import THRESHOLD, describe_thresholds
from efficient_sed.postprocessing.events import find_all_runs

ALARMS = Score(
    "negatives_false_alarms_per_hour",
    "false alarms/h",
    "false alarms on negatives",
    unit="1/h",
    is_higher_better=False,
    form=".1f",
    column="alarms/h",
    is_last_in_csv=True,
    tuned_column="alarms/h tuned",
)


@METRICS.register("negatives")
class FalseAlarms(ClipMetric):
    """Counts detected events of each class at the thresholds that event scores are taken at.

    Runs whose data have negatives take it of those alone.
    """

    is_of_events = True
    use = "data"
    rank = 30
    scores = (ALARMS, ALARMS.tuned())

    def __init__(self, classes: Sequence[str], thresholds: Sequence[float] | None = None) -> None:
        self.classes, self.thresholds = classes, thresholds
        self._alarms = np.zeros(len(classes), np.int64)
        self._durations: list[float] = []

    @classmethod
    def create(cls, setting: Setting) -> Self:
        """An empty one for a run."""
        return cls(setting.classes, setting.thresholds)

    def update(self, clip_id: str, scores: np.ndarray, events: Sequence[Event], duration_s: float) -> None:
        """Add a recording: scores (frames, classes), no events, its length.

        Raises:
            DataError: If a score is NaN or plus infinity; the message names the recording.
        """
        check_scores(f"recording {clip_id!r}", scores, self.classes)
        levels = np.asarray(THRESHOLD if self.thresholds is None else self.thresholds, scores.dtype)
        runs = find_all_runs((scores >= levels).astype(np.float32), [1.0])
        self._alarms += np.bincount(runs.column, minlength=len(self.classes))
        self._durations.append(duration_s)

    def merge(self, other: FalseAlarms) -> None:
        """Take over the counts of another process."""
        self._alarms += other._alarms
        self._durations += other._durations

    def metrics(self) -> dict[str, Any]:
        """False alarms an hour, of all classes and of each; None where no recording was read."""
        hours = math.fsum(self._durations) / HOUR_S
        rates = [float(count / hours) if hours else None for count in (self._alarms.sum(), *self._alarms)]
        return {
            ALARMS.key: rates[0],
            "per_class_negatives": {
                label: {"false_alarms": int(count), "false_alarms_per_hour": rate}
                for label, count, rate in zip(self.classes, self._alarms, rates[1:], strict=True)
            },
            "negatives": {
                "recordings": len(self._durations),
                "hours": hours,
                "threshold": describe_thresholds(self.thresholds),
            },
        }
