"""Stretches of a recording in which the score of a class is near its threshold.

How near is the binary entropy of the score on whose logit scale the threshold of its class is the middle: 1 bit at the
threshold, less on both sides of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.events import Event
from efficient_sed.postprocessing.events import RunFinder, runs_to_events

LEAST_SHARE = 0.1  # a score counts as doubtful from here to 0.9, where the threshold is at 0.5


class Doubt(NamedTuple):
    """A stretch in which the score of a class comes near its threshold, or just above it."""

    event: Event
    """From where the score begins to be doubtful to where it ends; its score is the highest inside."""
    threshold: float
    entropy: float
    """Of that score, in bits; see this module."""

    @property
    def reason(self) -> str:
        """Why it is listed."""
        where = "above" if self.is_found else "below"
        distance = abs(self.event.score - self.threshold)
        return f"{'found' if self.is_found else 'not found'}, {distance:.2f} {where} the threshold {self.threshold:.2g}"

    @property
    def is_found(self) -> bool:
        """Whether it is a detected event."""
        return bool(np.float32(self.event.score) >= np.float32(self.threshold))  # as scores are compared


def decode_doubts(
    pieces: Iterable[np.ndarray],
    classes: Sequence[str],
    grid: FrameGrid,
    thresholds: Sequence[float],
    duration_s: float,
) -> tuple[list[Event], list[Doubt]]:
    """Events and doubtful stretches of consecutive pieces of scores (frames, classes), in one pass.

    Args:
        pieces: Scores after post-processing.
        classes: Labels in the order of the columns.
        grid: Of the frames.
        thresholds: One a class.
        duration_s: Of the recording, where the last event ends.
    """
    known = dict(zip(classes, thresholds, strict=True))
    finder = RunFinder([[_lowered(threshold) for threshold in thresholds], thresholds], len(classes))
    events: list[Event] = []
    doubts: list[Doubt] = []
    for scores in (*pieces, None):
        runs = finder.close() if scores is None else finder.add(scores)
        events += runs_to_events(runs.select(runs.level == 1), classes, grid, duration_s)
        for event in runs_to_events(runs.select(runs.level == 0), classes, grid, duration_s):
            share = _centred(event.score, known[event.label])
            if share <= 1 - LEAST_SHARE:
                doubts.append(Doubt(event, known[event.label], _entropy(share)))
    return sorted(events), doubts


def _centred(score: float, threshold: float) -> float:
    """A score moved on the logit scale by what moves its threshold to 0.5."""
    above, below = score * (1 - threshold), (1 - score) * threshold
    return above / (above + below)


def _lowered(threshold: float) -> float:
    """The score that `_centred` moves to `LEAST_SHARE`."""
    return _centred(LEAST_SHARE, 1 - threshold)


def _entropy(share: float) -> float:
    return -sum(part * math.log2(part) for part in (share, 1 - share) if part > 0)
