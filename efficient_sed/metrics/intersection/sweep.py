"""Counts of intersection F1 at every threshold of every class, and the thresholds at which it is best.

Bilen et al., "A framework for the robust evaluation of sound event detection", ICASSP 2020
(https://arxiv.org/abs/1910.08440), section 3; equal to sed_scores_eval's intersection_based, and DESED's with 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.metrics.run_curves import RunCurves
from efficient_sed.metrics.thresholds import Entries


class IntersectionCurves(RunCurves):
    """Sweeps clips over all thresholds; its "detected" are the events found and the false alarms.

    A detection that events cover enough, of which none is found by it, is neither.

    Args:
        classes: Labels of the score columns.
        grid: From frames to seconds.
        dtc: Detection tolerance criterion: share of a detection that ground truth must cover.
        gtc: Ground-truth intersection criterion: share of an event that detections must cover.
    """

    def __init__(self, classes: Sequence[str], grid: FrameGrid, *, dtc: float = 0.5, gtc: float = 0.5) -> None:
        super().__init__(classes, grid)
        self.dtc, self.gtc = dtc, gtc

    def _sweep(
        self, scores: np.ndarray, borders: np.ndarray, first_event: np.ndarray, onsets: np.ndarray,
        offsets: np.ndarray, entries: Entries, filled: int,
    ) -> int:  # fmt: skip
        from efficient_sed.metrics.intersection._sweep import sweep_clip

        return sweep_clip(
            scores, borders, first_event, onsets, offsets, self.dtc, self.gtc, filled,
            entries.classes, entries.scores, entries.hits, entries.detected,
        )  # fmt: skip
