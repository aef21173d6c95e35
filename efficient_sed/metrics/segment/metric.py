"""Segment-based AUROC and F1 of a data set, from frame scores clip by clip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from efficient_sed.data.events import Event
from efficient_sed.data.score_checks import check_labels, check_scores
from efficient_sed.metrics.contracts import METRICS, ClipMetric, Score, Setting
from efficient_sed.metrics.segment.score import SEGMENT_S, best_threshold, partial_auroc
from efficient_sed.metrics.thresholds import BestThresholds, number

MAX_FPR = 0.1


@METRICS.register("segment")
class SegmentScores(ClipMetric):
    """Collects the scores of segments clip by clip; memory grows by 5 bytes a segment and class.

    Args:
        classes: Labels of the score columns.
        frame_hop_s: Seconds of a frame.
        segment_s: Seconds of a segment.
    """

    rank = 2
    scores = (
        Score("segment_pauroc", "segment pAUROC", "partial AUROC of segments", most=1.0),
        Score("segment_mauc", "segment mAUC", "AUROC of segments, mean over classes", most=1.0),
        Score(
            "segment_best_f1_macro",
            "best segment F1",
            "F1 of segments at the best threshold of each class, mean over classes",
            most=1.0,
        ),
    )

    def __init__(self, classes: Sequence[str], frame_hop_s: float, segment_s: float = SEGMENT_S) -> None:
        self.classes, self.frame_hop_s, self.segment_s = classes, frame_hop_s, segment_s
        self._column = {label: column for column, label in enumerate(classes)}
        self._scores: list[np.ndarray] = []
        self._targets: list[np.ndarray] = []

    @classmethod
    def create(cls, setting: Setting) -> Self:
        """An empty one for a run."""
        return cls(setting.classes, setting.grid.hop_s, setting.config.segment_s)

    def update(self, clip_id: str, scores: np.ndarray, events: Sequence[Event], duration_s: float) -> None:
        """Add a clip: scores (frames, classes), its events, its length.

        A segment scores the highest of the frames that overlap it, without any: 0.

        Raises:
            DataError: If a score is NaN or plus infinity, or an event has another label; the message names the clip.
        """
        check_scores(f"clip {clip_id!r}", scores, self.classes)
        check_labels(f"clip {clip_id!r}", (event.label for event in events), self.classes)
        borders = np.round(np.arange(math.ceil(round(duration_s / self.segment_s, 6)) + 1) * self.segment_s, 6)
        frames_s = np.minimum(np.round(np.arange(len(scores) + 1) * self.frame_hop_s, 6), duration_s)
        first = np.maximum(np.searchsorted(frames_s, borders[:-1], side="right") - 1, 0)
        last = np.minimum(np.searchsorted(frames_s, borders[1:], side="left"), len(scores))
        highest = np.zeros((len(borders) - 1, len(self.classes)), dtype=np.float32)
        for segment in np.flatnonzero(first < last):
            highest[segment] = scores[first[segment] : last[segment]].max(axis=0)
        targets = np.zeros(highest.shape, dtype=bool)
        for event in events:
            targets[(borders[:-1] < event.offset_s) & (borders[1:] > event.onset_s), self._column[event.label]] = True
        self._scores.append(highest)
        self._targets.append(targets)

    def merge(self, other: SegmentScores) -> None:
        """Take over the clips of another process."""
        self._scores += other._scores
        self._targets += other._targets

    def by_class(self, max_fpr: float = MAX_FPR) -> dict[str, float]:
        """Partial AUROC of the classes that have both segments with and without an event; whole with `max_fpr=1`."""
        scores, targets = self._joined()
        num_positive = targets.sum(axis=0)
        columns = np.flatnonzero((num_positive > 0) & (num_positive < len(targets)))
        return {
            self.classes[c]: partial_auroc(scores[targets[:, c], c], scores[~targets[:, c], c], max_fpr)
            for c in columns
        }

    def best(self) -> BestThresholds:
        """The threshold of each class with the highest F1."""
        scores, targets = self._joined()
        found = [best_threshold(own, is_active) for own, is_active in zip(scores.T, targets.T, strict=True)]
        thresholds, hits, detected = np.array(found, np.float64).T
        return BestThresholds(thresholds, hits, detected, targets.sum(axis=0))

    def metrics(self) -> dict[str, Any]:
        """Means over the classes that occur, and the best threshold of each; None if there is no such class."""
        partial, whole, best = list(self.by_class().values()), list(self.by_class(1.0).values()), self.best()
        return {
            "segment_pauroc": float(np.mean(partial)) if partial else None,
            "segment_mauc": float(np.mean(whole)) if whole else None,
            "segment_best_f1_macro": number(best.macro_f1),
            "segment_best": best.by_class(self.classes),
            "variant": {"segment_s": self.segment_s, "segment_max_fpr": MAX_FPR},
        }

    def _joined(self) -> tuple[np.ndarray, np.ndarray]:
        """Scores and targets of all segments, (segments, classes)."""
        empty = np.zeros((0, len(self.classes)))
        return np.concatenate([empty.astype(np.float32), *self._scores]), np.concatenate(
            [empty.astype(bool), *self._targets]
        )
