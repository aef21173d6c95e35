"""What every candidate gives every class, on the clips outside of each fold and on all of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from efficient_sed.config.evaluation import EvaluationConfig
from efficient_sed.metrics.event.sweep import EventCurves
from efficient_sed.metrics.psds.parameters import PsdsParameters
from efficient_sed.metrics.psds.pi import pi_psds
from efficient_sed.postprocessing.carried import DEFAULT_THRESHOLD
from efficient_sed.postprocessing.contract import Chain, join_classes, parse_chain
from efficient_sed.tuning.clips import ScoredClips
from efficient_sed.tuning.sides import PsdsSide

MAX_ALARMS = 19
HIGHEST = float(np.nextafter(np.float32(1), np.float32(0)))
"""The highest threshold; saturated scores of 1 reach it."""
LEVELS = [level / 20 for level in range(1, 20)]
"""Candidates for a threshold that classes share."""


class Choice(NamedTuple):
    """Parameters for every class, and those that suit all classes together."""

    chain: Chain
    thresholds: np.ndarray
    """Shape (classes,)."""
    shared_chain: Chain
    shared_threshold: float


class Table(NamedTuple):
    """Values of candidates; the last fold stands for all clips."""

    candidates: Sequence[Chain]
    """Each with one value a parameter for all classes."""
    values: np.ndarray
    """Score of a class at its own threshold, shape (candidates, folds + 1, classes); NaN where it does not occur."""
    thresholds: np.ndarray
    """These thresholds, of the same shape."""
    shared_values: np.ndarray
    """Score of a class at the threshold that classes share, of the same shape."""
    shared_thresholds: np.ndarray
    """These thresholds, shape (candidates, folds + 1)."""
    bound: float | None = None
    """Macro piPSDS of all clips, which no choice of one of these candidates for each class exceeds; None for events."""

    def choose(self, fold: int, is_own: np.ndarray) -> Choice:
        """The best parameters by the clips outside of a fold.

        Args:
            fold: Its number; -1 for none, which leaves all clips.
            is_own: Classes (classes,) that have parameters of their own; the others share what suits all together.
        """
        occurs = ~np.isnan(self.values[0, fold])
        macro = self.shared_values[:, fold, occurs].mean(axis=1)
        shared = int(macro.argmax())
        chosen, thresholds = np.full(len(is_own), shared), np.full(len(is_own), self.shared_thresholds[shared, fold])
        for column in np.flatnonzero(is_own & occurs):
            best = int(self.values[:, fold, column].argmax())
            chosen[column], thresholds[column] = best, self.thresholds[best, fold, column]
        chains = [self.candidates[index].steps for index in chosen]
        chain = Chain(tuple(map(join_classes, zip(*chains, strict=True))))
        return Choice(chain, thresholds, self.candidates[shared], float(self.shared_thresholds[shared, fold]))


def candidates_of(names: str, hop_s: float) -> list[Chain]:
    """All combinations of the candidates of a chain's methods.

    Args:
        names: As options give them, such as "median+hysteresis".
        hop_s: Seconds of a frame.

    Raises:
        ConfigError: If there is no such method.
    """
    return [Chain(steps) for steps in itertools.product(*(method.grid(hop_s) for method in parse_chain(names)))]


def check_candidates(config: EvaluationConfig) -> None:
    """Raise a ConfigError now, not after a training, if one of the candidates is no method."""
    for names in (*config.postprocessing, *config.event_postprocessing) if config.tune != "none" else ():
        parse_chain(names)


def psds_table(
    candidates: Sequence[Chain], clips: ScoredClips, weights: np.ndarray, parameters: PsdsParameters
) -> Table:
    """PSDS of classes under every candidate.

    Args:
        candidates: Chains with one value for all classes.
        clips: Sorted by their ids.
        weights: Which clips each fold leaves, shape (folds + 1, clips), 0 or 1.
        parameters: Of the PSDS.
    """
    durations, unused = [clip.duration_s for clip in clips.clips], np.zeros(len(clips.classes))
    values = np.empty((len(candidates), len(weights), len(clips.classes)))
    results = []
    for index, chain in enumerate(candidates):
        side = PsdsSide.start(clips.classes, durations, clips.grid.hop_s, parameters)
        for clip, scores in clips.processed(chain):
            side.add(clip, scores, unused)
        values[index] = [side.class_values(row) for row in weights]
        results.append(side.result)
    thresholds = np.full(values.shape, DEFAULT_THRESHOLD)
    return Table(candidates, values, thresholds, values, thresholds[:, :, 0], pi_psds(results).macro)


def event_table(
    candidates: Sequence[Chain], clips: ScoredClips, weights: np.ndarray, config: EvaluationConfig
) -> Table:
    """Best F1 of the events of classes under every candidate; arguments as for `psds_table`.

    Where a class has a false alarm in `MAX_ALARMS` clips or more for each of its events, F1 is at most 0.1. Only
    `LEVELS` are looked at from there down, which saves most of the time and memory where classes are many.
    """
    from efficient_sed.tuning._coarsen import coarsen

    levels = np.array(LEVELS, np.float32)
    shape = (len(candidates), len(weights), len(clips.classes))
    values, thresholds, shared_values = np.empty((3, *shape))
    shared_thresholds = np.empty(shape[:2])
    for index, chain in enumerate(candidates):
        curves = EventCurves(clips.classes, clips.grid, collar_s=config.collar_s, offset_share=config.offset_share)
        processed = list(clips.processed(chain))
        floors = _floors(clips, np.array([scores.max(axis=0) for _, scores in processed], np.float32))
        for clip, scores in processed:
            curves.add(clip.id, coarsen(scores, floors, levels), clip.events, clip.duration_s)
        for fold, row in enumerate(weights):
            best = curves.best(row)
            values[index, fold], thresholds[index, fold] = best.f1, np.minimum(best.thresholds, HIGHEST)
            at_levels = curves.f1_at_each(LEVELS, row)
            shared = int(np.argmax([counts.macro_f1 for counts in at_levels]))
            shared_values[index, fold], shared_thresholds[index, fold] = at_levels[shared].f1, LEVELS[shared]
    return Table(candidates, values, thresholds, shared_values, shared_thresholds)


def _floors(clips: ScoredClips, maxima: np.ndarray) -> np.ndarray:
    """Of each class the score that `MAX_ALARMS` clips without it reach for each of its events; 0 where fewer do.

    Args:
        clips: For their events.
        maxima: Highest score of each class in each clip, (clips, classes).
    """
    is_absent = np.ones(maxima.shape, bool)
    column = {label: index for index, label in enumerate(clips.classes)}
    for index, clip in enumerate(clips.clips):
        is_absent[index, [column[event.label] for event in clip.events]] = False
    ordered = -np.sort(-np.where(is_absent, maxima, 0), axis=0)
    ranks = MAX_ALARMS * clips.num_events
    has_so_many = (ranks > 0) & (ranks <= len(ordered))
    return np.where(has_so_many, ordered[np.where(has_so_many, ranks, 1) - 1, np.arange(len(ranks))], np.float32(0))
