"""Intersection F1 of runs: at the run's thresholds, and at the best one of each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from efficient_sed.data.events import Event
from efficient_sed.metrics.contracts import METRICS, ClipMetric, Score, Setting
from efficient_sed.metrics.intersection.sweep import IntersectionCurves
from efficient_sed.metrics.thresholds import describe_thresholds, number


@METRICS.register("intersection")
class IntersectionScores(ClipMetric):
    """Sweeps clips over all thresholds; memory grows by 18 bytes for each rise and fall of a score."""

    is_of_events = True
    rank = 20
    use = "request"
    scores = (
        Score("intersection_f1", "intersection F1", "F1 by intersection", most=1.0),
        Score("intersection_f1_macro", "intersection F1 macro", "F1 by intersection, mean over classes", most=1.0),
        Score(
            "intersection_best_f1_macro",
            "best intersection F1",
            "F1 by intersection at the best threshold of each class, mean over classes",
            most=1.0,
        ),
    )

    def __init__(self, curves: IntersectionCurves, thresholds: Sequence[float] | None = None) -> None:
        self.curves, self.thresholds = curves, thresholds

    @classmethod
    def create(cls, setting: Setting) -> Self:
        """An empty one for a run."""
        config = setting.config
        dtc, gtc = config.intersection_dtc, config.intersection_gtc
        return cls(IntersectionCurves(setting.classes, setting.grid, dtc=dtc, gtc=gtc), setting.thresholds)

    def update(self, clip_id: str, scores: np.ndarray, events: Sequence[Event], duration_s: float) -> None:
        """Add a clip: scores (frames, classes), its events, its length."""
        self.curves.add(clip_id, scores, events, duration_s)

    def merge(self, other: IntersectionScores) -> None:
        """Take over the clips of another process."""
        self.curves.merge(other.curves)

    def metrics(self) -> dict[str, Any]:
        """F1 over all events, means over classes, and the best threshold of each class.

        None without an event in the ground truth.
        """
        own, best = self.curves.f1_at(self.thresholds), self.curves.best()
        return {
            "intersection_f1": number(own.micro_f1),
            "intersection_f1_macro": number(own.macro_f1),
            "intersection_best_f1_macro": number(best.macro_f1),
            "intersection_best": best.by_class(self.curves.classes),
            "variant": {
                "intersection_dtc": self.curves.dtc,
                "intersection_gtc": self.curves.gtc,
                "intersection_threshold": describe_thresholds(self.thresholds),
            },
        }
