"""Segment-based partial AUROC: does a class sound somewhere in a second, over all thresholds with few false alarms?

McClish, "Analyzing a portion of the ROC curve", 1989 (https://doi.org/10.1177/0272989X8900900307), not standardised; values equal those of
sed_scores_eval's segment_based.auroc.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from efficient_sed.data.events import Event
from efficient_sed.data.score_checks import check_labels, check_scores

SEGMENT_S, MAX_FPR = 1.0, 0.1


class SegmentScores:
    """Collects the scores of segments of a second clip by clip; memory grows by 5 bytes a segment and class."""

    def __init__(self, classes: Sequence[str], frame_hop_s: float) -> None:
        self.classes, self.frame_hop_s = classes, frame_hop_s
        self._column = {label: column for column, label in enumerate(classes)}
        self._scores: list[np.ndarray] = []
        self._targets: list[np.ndarray] = []

    def update(self, clip_id: str, scores: np.ndarray, events: Sequence[Event], duration_s: float) -> None:
        """Add a clip: scores (frames, classes), its events, its length.

        A segment scores the highest of the frames that overlap it, without any: 0.

        Raises:
            DataError: If a score is NaN or plus infinity, or an event has another label; the message names the clip.
        """
        check_scores(f"clip {clip_id!r}", scores, self.classes)
        check_labels(f"clip {clip_id!r}", (event.label for event in events), self.classes)
        borders = np.arange(math.ceil(round(duration_s / SEGMENT_S, 6)) + 1) * SEGMENT_S
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

    def by_class(self) -> dict[str, float]:
        """Partial AUROC of the classes that have both segments with and without an event."""
        if not self._scores:
            return {}
        scores, targets = np.concatenate(self._scores), np.concatenate(self._targets)
        num_positive = targets.sum(axis=0)
        columns = np.flatnonzero((num_positive > 0) & (num_positive < len(targets)))
        return {
            self.classes[c]: partial_auroc(scores[targets[:, c], c], scores[~targets[:, c], c], MAX_FPR)
            for c in columns
        }

    def metrics(self) -> dict[str, Any]:
        """Their mean, none if there is no such class."""
        values = list(self.by_class().values())
        return {
            "segment_pauroc": float(np.mean(values)) if values else None,
            "variant": {"segment_s": SEGMENT_S, "segment_max_fpr": MAX_FPR},
        }


def partial_auroc(positives: np.ndarray, negatives: np.ndarray, max_fpr: float) -> float:
    """Area under the staircase of true over false positive rate up to `max_fpr`, as a share of the most there can be.

    Each of the highest negatives makes a step to the right, at the height of the positives above it; equal scores come together, so that a
    positive does not stand above a negative of its score.
    """
    room = max_fpr * len(negatives)
    num_steps = min(len(negatives), math.ceil(room))
    highest = np.sort(np.partition(negatives, len(negatives) - num_steps)[len(negatives) - num_steps :])[::-1]
    heights = len(positives) - np.searchsorted(np.sort(positives), highest, side="right")
    widths = np.minimum(room - np.arange(num_steps), 1.0)
    return float(heights @ widths / (room * len(positives)))
