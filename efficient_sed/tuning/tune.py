"""Post-processing chosen on validation scores, by cross-validation within them.

A class has parameters of its own where that is better on clips that had no part in the choice; else all classes share
them, or nothing is changed. The best of these is picked by the same scores, so its gain on validation is a little too
high; that on the test part is not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from efficient_sed.config.evaluation import EvaluationConfig
from efficient_sed.metrics.psds.parameters import PSDS2, PsdsParameters
from efficient_sed.postprocessing.carried import DEFAULT_THRESHOLD, Postprocessing
from efficient_sed.postprocessing.contract import Chain
from efficient_sed.tuning.clips import ScoredClips
from efficient_sed.tuning.sides import EventSide, PsdsSide, Side, gain
from efficient_sed.tuning.tables import Choice, Table, candidates_of, event_table, psds_table

logger = logging.getLogger(__name__)


class Tuning(NamedTuple):
    """Chosen parameters, and what they gain."""

    postprocessing: Postprocessing
    """For the classes of the validation scores."""
    shared: Postprocessing
    """The same with one value for all classes in place of each class's own."""
    report: dict[str, Any]
    """For result.json: what was tuned for, on how many clips, with which gain."""

    def spread(self, columns: Sequence[int], num_classes: int) -> Postprocessing:
        """Parameters for all classes of a model; those without scores have the shared ones.

        Args:
            columns: Of the classes of the validation scores.
            num_classes: Of the model.
        """
        own, shared = self.postprocessing, self.shared
        scores, events = (
            getattr(own, name).spread(getattr(shared, name), columns, num_classes) for name in ("scores", "events")
        )
        thresholds = None
        if own.thresholds is not None and shared.thresholds is not None:
            by_column = dict(zip(columns, own.thresholds, strict=True))
            thresholds = tuple(by_column.get(column, shared.thresholds[0]) for column in range(num_classes))
        return replace(own, scores=scores, events=events, thresholds=thresholds)


@dataclass(frozen=True)
class Objective:
    """What parameters are chosen for."""

    measure: Callable[[Sequence[Chain]], Table]
    """Values of candidates."""
    start: Callable[[], Side]
    """An empty side of the score."""


def tune(clips: ScoredClips, config: EvaluationConfig, median_frames: int) -> Tuning:
    """Choose methods, their parameters and thresholds.

    Args:
        clips: Validation scores before any filter, with ground truth.
        config: What is tuned for, candidates, folds; `evaluation.*`.
        median_frames: Window of the median filter that is used without tuning.

    Raises:
        ConfigError: If a candidate is no method.
    """
    clips = replace(clips, clips=sorted(clips.clips, key=lambda clip: clip.id))
    untuned = Postprocessing.untuned(median_frames)
    num_folds = min(config.tune_folds, len(clips.clips))
    search = _Search(clips, config, untuned.scores, num_folds)
    has_events = np.array([bool(clip.events) for clip in clips.clips], bool)
    report: dict[str, Any] = {"for": config.tune, "clips": len(clips.clips), "folds": num_folds}
    if num_folds < 2 or not search.weights[:, has_events].any(axis=1).all():  # a fold may hold all that have events
        problem = f"{len(clips.clips)} validation clips with {clips.num_events.sum()} events are too few to tune on"
        logger.warning("%s; scores and thresholds stay as they are", problem)
        return Tuning(untuned, untuned, {**report, "missing": problem})
    events = search.best(_event_objective(clips, config, search.weights), config.event_postprocessing)
    if config.tune == "event_f1":
        scores = events
    else:
        parameters = PSDS2 if config.tune == "psds2" else PsdsParameters.of(config)
        scores = search.best(_psds_objective(clips, parameters, search.weights), config.postprocessing)
        report["scores"] = scores.report
    few = [label for label, num in zip(clips.classes, clips.num_events, strict=True) if num < config.min_events]
    report |= {"events": events.report, "classes_with_few_events": few}
    hop_s, notes = clips.grid.hop_s, {"tuned_for": config.tune}
    by_class, common = None, None
    if events.is_tuned:
        by_class, common = tuple(map(float, events.choice.thresholds)), (events.choice.shared_threshold,)
    return Tuning(
        Postprocessing(scores.choice.chain, events.choice.chain, by_class, hop_s, notes),
        Postprocessing(scores.choice.shared_chain, events.choice.shared_chain, common, hop_s, notes),
        report,
    )


class Found(NamedTuple):
    """The best choice for an objective."""

    choice: Choice
    is_tuned: bool
    """Whether anything is better than no change."""
    report: dict[str, Any]


class _Search:
    """Looks for the best parameters by cross-validation."""

    def __init__(self, clips: ScoredClips, config: EvaluationConfig, untuned: Chain, num_folds: int) -> None:
        self._clips, self._untuned = clips, untuned
        self._fold_of = clips.folds(num_folds)
        self._num_folds = num_folds
        self.weights = np.array([self._fold_of != fold for fold in range(num_folds + 1)]).astype(np.int64)
        self._has_many = clips.num_events >= config.min_events

    def best(self, objective: Objective, names: Sequence[str]) -> Found:
        """The best of no change, and of each candidate with parameters shared by all classes or one a class."""
        num_classes, hop_s = len(self._clips.classes), self._clips.grid.hop_s
        unchanged = Choice(self._untuned, np.full(num_classes, DEFAULT_THRESHOLD), self._untuned, DEFAULT_THRESHOLD)
        before = self._side(objective, [unchanged] * self._num_folds)
        found, after, label = unchanged, before, {"method": "untuned", "per_class": False}
        bounds = []
        for name in names:
            table = objective.measure(candidates_of(name, hop_s))
            bounds += [] if table.bound is None else [table.bound]
            for is_own in (np.zeros(num_classes, bool), self._has_many):
                side = self._side(objective, [table.choose(fold, is_own) for fold in range(self._num_folds)])
                if side.macro() > after.macro():
                    found, after = table.choose(-1, is_own), side
                    label = {"method": name, "per_class": bool(is_own.any())}
        report = {**label, **gain(before, after), **({"pi_psds": max(bounds)} if bounds else {})}
        return Found(found, after is not before, report)

    def _side(self, objective: Objective, choices: Sequence[Choice]) -> Side:
        """Every clip under the choice that its own fold had no part in."""
        side = objective.start()
        for clip, fold in zip(self._clips.clips, self._fold_of, strict=True):
            choice = choices[fold]
            side.add(clip, choice.chain.apply(clip.scores, self._clips.grid.hop_s), choice.thresholds)
        return side


def _psds_objective(clips: ScoredClips, parameters: PsdsParameters, weights: np.ndarray) -> Objective:
    durations = [clip.duration_s for clip in clips.clips]
    return Objective(
        lambda candidates: psds_table(candidates, clips, weights, parameters),
        lambda: PsdsSide.start(clips.classes, durations, clips.grid.hop_s, parameters),
    )


def _event_objective(clips: ScoredClips, config: EvaluationConfig, weights: np.ndarray) -> Objective:
    return Objective(
        lambda candidates: event_table(candidates, clips, weights, config),
        lambda: EventSide(clips.classes, clips.grid, config),
    )
