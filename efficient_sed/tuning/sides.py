"""A score of clips under one post-processing, also of clips that are drawn again, and the gain from one to another."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.config.evaluation import EvaluationConfig
from efficient_sed.metrics.event.sweep import EventCurves
from efficient_sed.metrics.psds.clips import PsdsClips, interval
from efficient_sed.metrics.psds.exact import PsdsAccumulator
from efficient_sed.metrics.psds.parameters import PsdsParameters
from efficient_sed.metrics.psds.result import PsdsResult
from efficient_sed.tuning.clips import SEED, ScoredClip

NUM_REPLICATES = 300


class Side(Protocol):
    """Takes in clips, and gives the macro score of weighted ones."""

    key: str
    """Of the score in a result."""

    @property
    def has_events(self) -> np.ndarray:
        """Which clips have events, (clips,), in the order of weights."""

    def add(self, clip: ScoredClip, scores: np.ndarray, thresholds: np.ndarray) -> None:
        """Add a clip with its post-processed scores (frames, classes) and the thresholds (classes,)."""

    def macro(self, weights: np.ndarray | None = None) -> float:
        """Mean over classes, where clip i counts weights[i] times; default None: once."""


class PsdsSide:
    """PSDS of clips; thresholds have no part in it.

    Args:
        counts: An accumulator that keeps clips apart.
    """

    def __init__(self, counts: PsdsAccumulator) -> None:
        self.key = f"{counts.parameters.name}_macro"
        self._counts = counts

    @classmethod
    def start(
        cls, classes: tuple[str, ...], durations: list[float], hop_s: float, parameters: PsdsParameters
    ) -> PsdsSide:
        """An empty one for clips of these lengths in seconds."""
        return cls(PsdsAccumulator(classes, durations, frame_hop_s=hop_s, parameters=parameters, keeps_clips=True))

    def add(self, clip: ScoredClip, scores: np.ndarray, thresholds: np.ndarray) -> None:
        """As `Side.add`."""
        self._counts.update(clip.id, scores, clip.events, clip.duration_s)

    @cached_property
    def result(self) -> PsdsResult:
        """PSDS of all clips, with its curves."""
        return self._counts.compute()

    @cached_property
    def clips(self) -> PsdsClips:
        """Counts apart by clip, in the order of their ids."""
        return PsdsClips.collect(self._counts, self.result.variant)

    @property
    def has_events(self) -> np.ndarray:
        """As `Side.has_events`, in the order of the clips' ids."""
        return np.isin(np.arange(len(self.clips.clip_ids)), self.clips.event_clip)

    def class_values(self, weights: np.ndarray) -> np.ndarray:
        """PSDS of each class, (classes,), NaN for those that do not occur; weights in the order of the clips' ids."""
        values = np.full(len(self._counts.classes), np.nan)
        column = {label: index for index, label in enumerate(self._counts.classes)}
        values[[column[label] for label in self.clips.classes]] = self.clips.class_values(weights)
        return values

    def macro(self, weights: np.ndarray | None = None) -> float:
        """As `Side.macro`."""
        return self.clips.macro(weights)


class EventSide:
    """F1 of events at the thresholds with which a clip comes."""

    key = "event_f1_macro"

    def __init__(self, classes: tuple[str, ...], grid: FrameGrid, config: EvaluationConfig) -> None:
        self._curves = EventCurves(classes, grid, collar_s=config.collar_s, offset_share=config.offset_share)
        self._has_events: list[bool] = []

    @property
    def has_events(self) -> np.ndarray:
        """As `Side.has_events`, in the order in which clips came."""
        return np.array(self._has_events)

    def add(self, clip: ScoredClip, scores: np.ndarray, thresholds: np.ndarray) -> None:
        """As `Side.add`."""
        self._has_events.append(bool(clip.events))
        active = (scores >= thresholds.astype(scores.dtype)).astype(np.float32)
        self._curves.add(clip.id, active, clip.events, clip.duration_s)

    def macro(self, weights: np.ndarray | None = None) -> float:
        """As `Side.macro`."""
        return self._curves.f1_at(0.5, weights).macro_f1


def gain(untuned: Side, tuned: Side) -> dict[str, Any]:
    """Scores of two sides on the same clips, their difference, and its 95 % interval over clips drawn again.

    Args:
        untuned: Side before.
        tuned: Side after; the same clips came to it in the same order.
    """
    before, after = untuned.macro(), tuned.macro()
    has_events = untuned.has_events
    rng, num_clips = np.random.default_rng(SEED), len(has_events)
    differences = []
    for _ in range(NUM_REPLICATES):
        weights = np.bincount(rng.integers(num_clips, size=num_clips), minlength=num_clips)
        if weights[has_events].any():
            differences.append(tuned.macro(weights) - untuned.macro(weights))
    ends = interval(np.array(differences)) if differences else (math.nan, math.nan)
    return {
        "metric": untuned.key,
        "untuned": before,
        "tuned": after,
        "gain": after - before,
        "gain_ci95": list(ends),
    }
