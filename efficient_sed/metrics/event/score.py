"""F-measure of events, of which a detected one counts if its borders lie close to those of a true one.

Mesaros et al., "Metrics for polyphonic sound event detection", 2016 (https://doi.org/10.3390/app6060162); equal to sed_eval's, but for the
F-measure without any detection, which is 0, there not a number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.events import Event
from efficient_sed.data.score_checks import check_labels, check_scores
from efficient_sed.errors import DataError
from efficient_sed.postprocessing.median import find_all_runs, runs_to_events

THRESHOLD = 0.5
COLLAR_S = 0.2
OFFSET_SHARE = 0.2
"""An offset may be off by this share of the event's length where that is more than the collar."""


class HitCounts:
    """Counts true, detected and matched events by class.

    Args:
        has_offsets: Compare offsets too, not onsets alone.
    """

    def __init__(self, classes: Sequence[str], *, has_offsets: bool) -> None:
        self.has_offsets = has_offsets
        self._column = {label: column for column, label in enumerate(classes)}
        self._counts = np.zeros((3, len(classes)), dtype=np.int64)  # hits, true, detected

    def add(self, truth: Iterable[Event], detected: Iterable[Event]) -> None:
        """Add a clip's events.

        Raises:
            DataError: If one has another label.
        """
        by_label: dict[str, tuple[list[Event], list[Event]]] = {}
        for side, events in enumerate((truth, detected)):
            for event in events:
                by_label.setdefault(event.label, ([], []))[side].append(event)
        check_labels("event scores", by_label, tuple(self._column))
        for label, (some, others) in by_label.items():
            self._counts[:, self._column[label]] += (
                count_hits(some, others, has_offsets=self.has_offsets),
                len(some),
                len(others),
            )

    def add_detected(self, num_detected: np.ndarray) -> None:
        """Add detected events, by class, that no true one of their clip can match: it has none of their class."""
        self._counts[2] += num_detected

    def merge(self, other: HitCounts) -> None:
        """Take over the counts of another process."""
        self._counts += other._counts

    def f1(self) -> tuple[float, float]:
        """F-measure over all events, and its mean over the classes that occur in the ground truth.

        Raises:
            DataError: If there is no event in the ground truth.
        """
        hits, num_true, num_detected = self._counts
        if not num_true.any():
            raise DataError("event scores need at least one event in the ground truth, found none")
        by_class = 2 * hits[num_true > 0] / (num_true + num_detected)[num_true > 0]
        return float(2 * hits.sum() / (num_true.sum() + num_detected.sum())), float(by_class.mean())


class CollarCounts:
    """Decodes events at one threshold clip by clip and counts hits: of onsets and offsets, and of onsets alone.

    Detected events of classes that a clip lacks are false alarms wherever they lie, and only counted.
    """

    def __init__(self, classes: Sequence[str], grid: FrameGrid) -> None:
        self.classes, self.grid = classes, grid
        self._column = {label: column for column, label in enumerate(classes)}
        self._both, self._onsets = (HitCounts(classes, has_offsets=has_offsets) for has_offsets in (True, False))

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


def count_hits(truth: Sequence[Event], detected: Sequence[Event], *, has_offsets: bool) -> int:
    """Pairs in the largest one-to-one matching of events whose onsets, and offsets if asked for, are within the collars."""
    if not truth or not detected:
        return 0
    (onsets, offsets), (found_onsets, found_offsets) = (
        np.array([event[:2] for event in events]).T for events in (truth, detected)
    )
    is_close = np.abs(onsets[:, None] - found_onsets) <= COLLAR_S
    if has_offsets:
        is_close &= (
            np.abs(offsets[:, None] - found_offsets) <= np.maximum(COLLAR_S, OFFSET_SHARE * (offsets - onsets))[:, None]
        )
    if is_close.sum(axis=0).max() <= 1 and is_close.sum(axis=1).max() <= 1:
        return int(is_close.sum())
    return int((maximum_bipartite_matching(csr_array(is_close)) >= 0).sum())
