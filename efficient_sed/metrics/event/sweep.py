"""Counts of events within collars at every threshold of every class, and the thresholds at which F1 is best.

The criterion is that of `HitCounts`: hits are the largest matching of detected and true events within the collars.
Values equal those of sed_scores_eval's collar_based, but where an onset or offset is off by exactly the collar: there
floats decide, as in sed_eval, while sed_scores_eval rounds first (`time_decimals=18` makes it equal).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.metrics.event.score import COLLAR_S, OFFSET_SHARE
from efficient_sed.metrics.run_curves import RunCurves
from efficient_sed.metrics.thresholds import Entries


class EventCurves(RunCurves):
    """Sweeps clips over all thresholds.

    Args:
        classes: Labels of the score columns.
        grid: From frames to seconds.
        collar_s: By how many seconds an onset or offset may be off.
        offset_share: An offset may be off by this share of the event's length, where that is more.
        has_offsets: Compare offsets too, not onsets alone.
    """

    def __init__(
        self,
        classes: Sequence[str],
        grid: FrameGrid,
        *,
        collar_s: float = COLLAR_S,
        offset_share: float = OFFSET_SHARE,
        has_offsets: bool = True,
    ) -> None:
        super().__init__(classes, grid)
        self.collar_s, self.offset_share, self.has_offsets = collar_s, offset_share, has_offsets

    def _sweep(
        self, scores: np.ndarray, borders: np.ndarray, first_event: np.ndarray, onsets: np.ndarray,
        offsets: np.ndarray, entries: Entries, filled: int,
    ) -> int:  # fmt: skip
        from efficient_sed.metrics.event._sweep import sweep_clip

        tolerances = np.maximum(self.collar_s, self.offset_share * (offsets - onsets))
        if not self.has_offsets:
            tolerances[:] = np.inf
        return sweep_clip(
            scores, borders, first_event, onsets, offsets, self.collar_s, tolerances, filled,
            entries.classes, entries.scores, entries.hits, entries.detected,
        )  # fmt: skip
