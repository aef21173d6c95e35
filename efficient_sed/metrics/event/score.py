"""F-measure of events, of which a detected one counts if its borders lie close to those of a true one.

Mesaros et al., "Metrics for polyphonic sound event detection", 2016 (https://doi.org/10.3390/app6060162); equal to
sed_eval's, but for the F-measure without any detection, which is 0, there not a number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from efficient_sed.data.events import Event
from efficient_sed.data.score_checks import check_labels
from efficient_sed.errors import DataError

COLLAR_S = 0.2
OFFSET_SHARE = 0.2
"""An offset may be off by this share of the event's length where that is more than the collar; sed_eval's own default
is 0.5."""


class HitCounts:
    """Counts true, detected and matched events by class.

    Args:
        classes: Labels of the events.
        has_offsets: Compare offsets too, not onsets alone.
        collar_s: By how many seconds an onset or offset may be off.
        offset_share: An offset may be off by this share of the event's length, where that is more.
    """

    def __init__(
        self,
        classes: Sequence[str],
        *,
        has_offsets: bool,
        collar_s: float = COLLAR_S,
        offset_share: float = OFFSET_SHARE,
    ) -> None:
        self.has_offsets, self.collar_s, self.offset_share = has_offsets, collar_s, offset_share
        self._column = {label: column for column, label in enumerate(classes)}
        self.counts = np.zeros((3, len(classes)), dtype=np.int64)
        """Hits, true and detected events of each class."""

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
            hits = count_hits(
                some,
                others,
                has_offsets=self.has_offsets,
                collar_s=self.collar_s,
                offset_share=self.offset_share,
            )
            self.counts[:, self._column[label]] += hits, len(some), len(others)

    def add_detected(self, num_detected: np.ndarray) -> None:
        """Add detected events, by class, that no true one of their clip can match: it has none of their class."""
        self.counts[2] += num_detected

    def merge(self, other: HitCounts) -> None:
        """Take over the counts of another process."""
        self.counts += other.counts

    def f1(self) -> tuple[float, float]:
        """F-measure over all events, and its mean over the classes that occur in the ground truth.

        Raises:
            DataError: If there is no event in the ground truth.
        """
        hits, num_true, num_detected = self.counts
        if not num_true.any():
            raise DataError("event scores need at least one event in the ground truth, found none")
        by_class = 2 * hits[num_true > 0] / (num_true + num_detected)[num_true > 0]
        return float(2 * hits.sum() / (num_true.sum() + num_detected.sum())), float(by_class.mean())


def count_hits(
    truth: Sequence[Event],
    detected: Sequence[Event],
    *,
    has_offsets: bool,
    collar_s: float = COLLAR_S,
    offset_share: float = OFFSET_SHARE,
) -> int:
    """Pairs in the largest one-to-one matching of events that are within the collars.

    As in sed_eval, floats decide where an onset is off by exactly a collar: 1.2 s finds 1.0 s, and 1.6 s does not find
    1.4 s. sed_scores_eval rounds first, to six decimals by default.

    Args:
        truth: True events of one class.
        detected: Detected ones.
        has_offsets: Compare offsets too, not onsets alone.
        collar_s: By how many seconds an onset or offset may be off.
        offset_share: An offset may be off by this share of the event's length, where that is more.
    """
    matched = match_events(truth, detected, has_offsets=has_offsets, collar_s=collar_s, offset_share=offset_share)
    return int((matched >= 0).sum())


def match_events(
    truth: Sequence[Event],
    detected: Sequence[Event],
    *,
    has_offsets: bool,
    collar_s: float = COLLAR_S,
    offset_share: float = OFFSET_SHARE,
) -> np.ndarray:
    """The largest one-to-one matching of events that are within the collars.

    Args:
        truth: True events of one class.
        detected: Detected ones.
        has_offsets: Compare offsets too, not onsets alone.
        collar_s: By how many seconds an onset or offset may be off.
        offset_share: By which share of the true event an offset may be off where that is more.

    Returns:
        For each true event the index of its detected one, -1 where there is none, shape (true events,).
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    if not truth or not detected:
        return np.full(len(truth), -1)
    (onsets, offsets), (found_onsets, found_offsets) = (
        np.array([event[:2] for event in events]).T for events in (truth, detected)
    )
    is_close = np.abs(onsets[:, None] - found_onsets) <= collar_s
    if has_offsets:
        tolerances = np.maximum(collar_s, offset_share * (offsets - onsets))[:, None]
        is_close &= np.abs(offsets[:, None] - found_offsets) <= tolerances
    if is_close.sum(axis=0).max() <= 1 and is_close.sum(axis=1).max() <= 1:
        return np.where(is_close.any(axis=1), is_close.argmax(axis=1), -1)
    return np.asarray(maximum_bipartite_matching(csr_array(is_close), perm_type="column"))
