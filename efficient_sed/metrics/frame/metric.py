"""Frame-based F1 and error rate at one threshold.

Mesaros et al., "Metrics for polyphonic sound event detection", 2016 (https://doi.org/10.3390/app6060162), with a frame
for a segment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.events import Event, encode_events
from efficient_sed.data.score_checks import check_labels, check_scores
from efficient_sed.errors import DataError
from efficient_sed.metrics.contracts import METRICS, ClipMetric, Score, Setting
from efficient_sed.metrics.frame.score import count_errors
from efficient_sed.metrics.thresholds import THRESHOLD, describe_thresholds


@METRICS.register("frame")
class FrameCounts(ClipMetric):
    """Counts hits and errors of frames clip by clip. A frame of the ground truth is active if an event touches it."""

    is_of_events = True
    rank = 3
    scores = (
        Score("frame_f1", "frame F1", "F1 of frames", most=1.0),
        Score("frame_error_rate", "frame error rate", "error rate of frames", is_higher_better=False),
    )

    def __init__(self, classes: Sequence[str], grid: FrameGrid, thresholds: Sequence[float] | None = None) -> None:
        self.classes, self.grid, self.thresholds = classes, grid, thresholds
        self.num_hits = self.num_true = self.num_detected = self.num_errors = 0

    @classmethod
    def create(cls, setting: Setting) -> Self:
        """An empty one for a run."""
        return cls(setting.classes, setting.grid, setting.thresholds)

    def update(self, clip_id: str, scores: np.ndarray, events: Sequence[Event], duration_s: float) -> None:
        """Add a clip: scores (frames, classes) and its events; its length is that of its scores.

        Raises:
            DataError: If a score is NaN or plus infinity, or an event has another label; the message names the clip.
        """
        check_scores(f"clip {clip_id!r}", scores, self.classes)
        check_labels(f"clip {clip_id!r}", (event.label for event in events), self.classes)
        labels = sorted({event.label for event in events})
        columns = [self.classes.index(label) for label in labels]
        truth = encode_events(events, labels, self.grid, len(scores)).T > 0
        active = scores >= np.asarray(THRESHOLD if self.thresholds is None else self.thresholds, scores.dtype)
        hits, num_true, num_detected = (truth & active[:, columns]).sum(axis=1), truth.sum(axis=1), active.sum(axis=1)
        self.num_hits += int(hits.sum())
        self.num_true += int(num_true.sum())
        self.num_detected += int(num_detected.sum())
        self.num_errors += count_errors(num_true - hits, num_detected - hits)

    def merge(self, other: FrameCounts) -> None:
        """Take over the counts of another process."""
        for name in ("num_hits", "num_true", "num_detected", "num_errors"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def metrics(self) -> dict[str, Any]:
        """F1 over all frames and classes, and errors as a share of the active frames; the latter may exceed 1.

        Raises:
            DataError: If no frame of the ground truth is active.
        """
        if self.num_true == 0:
            raise DataError("frame scores need at least one event in the ground truth, found none")
        f1 = 2 * self.num_hits / (self.num_true + self.num_detected)
        return {
            "frame_f1": f1,
            "frame_error_rate": self.num_errors / self.num_true,
            "variant": {"frame_threshold": describe_thresholds(self.thresholds)},
        }
