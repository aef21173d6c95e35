"""Counts of events within collars at every threshold of every class, and the thresholds at which F1 is best.

The criterion is that of `HitCounts`: hits are the largest matching of detected and true events within the collars.
Values equal those of sed_scores_eval's collar_based.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.events import Event, merge_overlapping
from efficient_sed.data.score_checks import check_labels, check_scores
from efficient_sed.metrics.event.score import COLLAR_S, OFFSET_SHARE
from efficient_sed.metrics.thresholds import ThresholdCounts


class EventCurves(ThresholdCounts):
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
        super().__init__(len(classes))
        self.classes, self.grid = tuple(classes), grid
        self.collar_s, self.offset_share, self.has_offsets = collar_s, offset_share, has_offsets
        self._column = {label: column for column, label in enumerate(classes)}

    def add(self, clip_id: str, scores: np.ndarray, events: Sequence[Event], duration_s: float) -> None:
        """Add a clip: scores (frames, classes) in [0, 1], taken in single precision, its events, its length.

        Events of one class that overlap are joined into one.

        Raises:
            DataError: If a score is NaN or plus infinity, or an event has another label; the message names the clip.
        """
        from efficient_sed.metrics.event._sweep import sweep_clip

        check_scores(f"clip {clip_id!r}", scores, self.classes)
        check_labels(f"clip {clip_id!r}", (event.label for event in events), self.classes)
        frames = np.ascontiguousarray(scores, np.float32)
        borders = np.round(np.minimum(np.arange(len(frames) + 1) * self.grid.hop_s, duration_s), 6)
        by_column = sorted(
            (self._column[label], onset, offset) for onset, offset, label, _ in merge_overlapping(events)
        )
        num_true = np.bincount([column for column, _, _ in by_column], minlength=self.num_classes)
        onsets, offsets = (np.array([event[field] for event in by_column], np.float64) for field in (1, 2))
        tolerances = np.maximum(self.collar_s, self.offset_share * (offsets - onsets))
        if not self.has_offsets:
            tolerances[:] = np.inf
        entries, filled = self.room(frames.size)
        filled = sweep_clip(
            frames, borders, np.append(0, np.cumsum(num_true)), onsets, offsets, self.collar_s, tolerances, filled,
            entries.classes, entries.scores, entries.hits, entries.detected,
        )  # fmt: skip
        self.close_clip(clip_id, filled, num_true)
