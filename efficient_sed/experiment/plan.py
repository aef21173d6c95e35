"""What a training will do, said before it starts, and what is too little of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import NamedTuple

from efficient_sed.config.run import RunConfig
from efficient_sed.config.training import TrainConfig
from efficient_sed.data.check import summarise
from efficient_sed.data.events import FRAMEWISE, Splits
from efficient_sed.data.storage.columns import of_kinds
from efficient_sed.data.subsets import count_by_subset, learnable

logger = logging.getLogger(__name__)
FEW_EVENTS = 10
"""Training events below which a class is hardly learnt."""
MAX_NAMED = 5


class Plan(NamedTuple):
    """The size of a training.

    Attributes:
        steps: Of the optimiser.
        views: Excerpts of clips.
        warmup_steps: Of the linear warm-up; OneCycleLR has its own.
    """

    steps: int
    views: int
    warmup_steps: int


def training_plan(config: RunConfig, num_clips: Mapping[str, int]) -> Plan:
    """Compute the size of a training from its options, without loading anything.

    Args:
        config: The run.
        num_clips: Training clips by subset.
    """
    train = config.train
    draws = train.draws(num_clips)
    batches = max(1, draws // train.batch_size)  # the rest of an epoch is left out, unless it is all there is
    steps = train.epochs * -(-batches // train.accumulate)
    return Plan(steps, train.epochs * min(draws, batches * train.batch_size), min(train.warmup_steps, steps // 2))


def announce(config: RunConfig, splits: Splits) -> None:
    """Log the size of a training, and warn of what is too small in it."""
    train = config.train
    num_clips = count_by_subset(learnable(config, splits.train, is_silent=True))
    plan = training_plan(config, num_clips)
    seconds = min(train.crop_seconds or config.data.clip_seconds, config.data.clip_seconds)
    logger.info(
        "training: %s steps of %d clips in %d epochs, %s views of %s clips (%.1f hours), warm-up of %d steps",
        f"{plan.steps:,}", train.batch_size * train.accumulate, train.epochs, f"{plan.views:,}",
        f"{sum(num_clips.values()):,}", plan.views * seconds / 3600, plan.warmup_steps,
    )  # fmt: skip
    if train.schedule == "cosine" and plan.warmup_steps < train.warmup_steps:
        more = "more train.epochs=N or train.min_steps_per_epoch=N make more"
        words = "train.warmup_steps=%d is cut to %d, half of the steps; %s"
        logger.warning(words, train.warmup_steps, plan.warmup_steps, more)
    if len(num_clips) > 1 or train.batch_clips is not None:
        logger.info("training clips: %s%s", _listed(num_clips), _batches(train))
    if train.mean_teacher and len(of_kinds(splits.train, FRAMEWISE)) == len(splits.train):
        words = "train.mean_teacher=true, and the training part has neither weak nor unlabelled clips for it: %s"
        logger.warning(words, "give data.unlabelled=DIR or data.weak=FILE, or train.ema_decay for an average alone")
    if config.data.has_labels:
        _warn_of_few_events(splits)


def _batches(train: TrainConfig) -> str:
    """What each batch is made of, if that is said."""
    return "" if train.batch_clips is None else f"; each batch of {_listed(train.batch_clips)}"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _warn_of_few_events(splits: Splits) -> None:
    learnt = summarise(splits.train, splits.classes).events
    few = {label: count for label, count in learnt.items() if 0 < count < FEW_EVENTS}
    if few:
        words = "classes with fewer than %d training events, hardly to be learnt: %s; add recordings of them"
        logger.warning(words, FEW_EVENTS, _named(few))
    scored = summarise(splits.validation, splits.classes).events
    unseen = {label: count for label, count in learnt.items() if count and not scored[label]}
    if unseen:
        words = "classes without a validation event, on which no epoch is chosen and nothing is tuned: %s"
        logger.warning(words, _named(unseen))


def _named(counts: Mapping[str, int]) -> str:
    """The first few classes with their training events, the rarest first."""
    rarest = sorted(counts, key=counts.__getitem__)[:MAX_NAMED]
    rest = len(counts) - len(rarest)
    return ", ".join(f"{label} ({counts[label]})" for label in rarest) + (f" and {rest} more" if rest else "")
