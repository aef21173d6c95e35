"""Validation scores in memory, and the parts that cross-validation divides them into."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.events import Event
from efficient_sed.postprocessing.contract import Chain

SEED = 0
MAX_COLUMNS = 4096
"""Score columns that go through a method side by side: wide enough for vector units, and still in the cache."""


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

    def processed(self, chain: Chain) -> Iterator[tuple[ScoredClip, np.ndarray]]:
        """Clips in their order with their scores (frames, classes) after a chain with one value a parameter.

        Neighbours of one length go through it side by side.
        """
        num_classes = len(self.classes)
        for _, group in itertools.groupby(self.clips, lambda clip: len(clip.scores)):
            while some := list(itertools.islice(group, max(1, MAX_COLUMNS // num_classes))):
                scores = chain.apply(np.concatenate([clip.scores for clip in some], axis=1), self.grid.hop_s)
                yield from zip(some, np.split(scores, len(some), axis=1), strict=True)

    def folds(self, num_folds: int) -> np.ndarray:
        """Fold of each clip, (clips,): drawn, of equal size, the same for the same clips in any order."""
        ranks = np.argsort(np.argsort([clip.id for clip in self.clips]))
        drawn = np.random.default_rng(SEED).permutation(len(self.clips)) % num_folds
        return np.asarray(drawn[ranks])
