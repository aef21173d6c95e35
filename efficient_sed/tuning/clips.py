"""Validation scores in memory, and the parts that cross-validation divides them into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.events import Event

SEED = 0


class ScoredClip(NamedTuple):
    """A clip with its scores and its ground truth."""

    id: str
    scores: np.ndarray
    """Frame scores in [0, 1] before any filter, shape (frames, classes)."""
    events: Sequence[Event]
    """Of these classes, in seconds."""
    duration_s: float


@dataclass(frozen=True)
class ScoredClips:
    """Clips on which parameters are chosen."""

    classes: tuple[str, ...]
    """Labels of the score columns."""
    grid: FrameGrid
    clips: Sequence[ScoredClip]

    @cached_property
    def num_events(self) -> np.ndarray:
        """Events of each class, (classes,)."""
        column = {label: index for index, label in enumerate(self.classes)}
        return np.bincount(
            [column[event.label] for clip in self.clips for event in clip.events], minlength=len(self.classes)
        )

    def folds(self, num_folds: int) -> np.ndarray:
        """Fold of each clip, (clips,): drawn, of equal size, the same for the same clips in any order."""
        ranks = np.argsort(np.argsort([clip.id for clip in self.clips]))
        drawn = np.random.default_rng(SEED).permutation(len(self.clips)) % num_folds
        return np.asarray(drawn[ranks])
