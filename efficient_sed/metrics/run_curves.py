"""From the scores and events of a clip to entries of the threshold sweep, for criteria that judge detected events."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.events import Event, merge_overlapping
from efficient_sed.data.score_checks import check_labels, check_scores
from efficient_sed.metrics.thresholds import Entries, ThresholdCounts


class RunCurves(ThresholdCounts):
    """Sweeps clips over all thresholds; runs of frames that reach one are detected events.

    Args:
        classes: Labels of the score columns.
        grid: From frames to seconds.
    """

    def __init__(self, classes: Sequence[str], grid: FrameGrid) -> None:
        super().__init__(len(classes))
        self.classes, self.grid = tuple(classes), grid
        self._column = {label: column for column, label in enumerate(classes)}
        self._columns = np.arange(len(classes) + 1, dtype=np.float64)
        self._last_borders: tuple[int, float, np.ndarray] = (-1, 0.0, np.zeros(0))

    def add(self, clip_id: str, scores: np.ndarray, events: Sequence[Event], duration_s: float) -> None:
        """Add a clip: scores (frames, classes) in [0, 1], taken in single precision, its events, its length.

        Events of one class that overlap are joined into one.

        Raises:
            DataError: If a score is NaN or plus infinity, or an event has another label; the message names the clip.
        """
        check_scores(f"clip {clip_id!r}", scores, self.classes)
        check_labels(f"clip {clip_id!r}", (event.label for event in events), self.classes)
        triples = sorted((self._column[label], onset, offset) for onset, offset, label, _ in merge_overlapping(events))
        columns, onsets, offsets = np.array(triples, np.float64).reshape(-1, 3).T.copy()
        first_event = np.searchsorted(columns, self._columns)
        frames = np.ascontiguousarray(scores, np.float32)
        entries, filled = self.room(frames.size)
        filled = self._sweep(
            frames, self._borders(len(frames), duration_s), first_event, onsets, offsets, entries, filled
        )
        self.close_clip(clip_id, filled, np.diff(first_event))

    def _borders(self, num_frames: int, duration_s: float) -> np.ndarray:
        """Times of the frames' borders; those of the last clip are kept, as most clips have one length."""
        if self._last_borders[:2] != (num_frames, duration_s):
            borders = np.round(np.minimum(np.arange(num_frames + 1) * self.grid.hop_s, duration_s), 6)
            self._last_borders = num_frames, duration_s, borders
        return self._last_borders[2]

    @abstractmethod
    def _sweep(
        self, scores: np.ndarray, borders: np.ndarray, first_event: np.ndarray, onsets: np.ndarray,
        offsets: np.ndarray, entries: Entries, filled: int,
    ) -> int:  # fmt: skip
        """Append a clip's entries to those that are filled, and return how many are then; see `sweep_clip`."""
