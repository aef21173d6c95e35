"""Checks before a training starts: data that cannot serve, clips of a wrong length, likely mistakes."""

from __future__ import annotations

import logging

from efficient_sed.config.run import RunConfig
from efficient_sed.data.check import summarise
from efficient_sed.data.events import LABELLED, Splits
from efficient_sed.data.storage.columns import durations, of_kinds
from efficient_sed.data.subsets import scorable
from efficient_sed.errors import DataError, require
from efficient_sed.models.sed import SedModel

logger = logging.getLogger(__name__)
COARSE_S = 0.25
"""Seconds between scores from which on events are hard to find."""


def check_events(config: RunConfig, splits: Splits) -> None:
    """Raise a DataError if a part that needs labels has none."""
    has_teacher = bool(config.data.pseudo_labels or config.data.clip_teacher or config.train.teacher)
    has_teacher = has_teacher and not config.train.extend_classes  # which teaches no new class
    uses = {"validation": "score", "test": "score", **({} if has_teacher else {"train": "learn"})}
    for part, use in uses.items():
        clips = getattr(splits, part)
        usable = of_kinds(clips, LABELLED) if part == "train" else scorable(clips, config.task)
        if not any(clip.events for clip in usable):
            empty = f"the {part} part of data={config.data.name} holds no event, so there is nothing to {use}"
            raise DataError(f"{empty}; add some to its annotations")


def check_lengths(model: SedModel, config: RunConfig) -> None:
    """Raise a ConfigError if the clips of training or benchmark are not of a length that the model takes."""
    lengths = {
        "data.clip_seconds": config.data.clip_seconds,
        "train.crop_seconds": config.train.crop_seconds,
        "benchmark.seconds": config.benchmark.seconds,
    }
    for key, seconds in lengths.items():
        if seconds is not None:
            check_length(model, key, seconds)


def check_length(model: SedModel, key: str, seconds: float) -> None:
    """Raise a ConfigError if clips are too short for one step of the model, or longer than its positions go.

    Args:
        model: What takes the clips.
        key: The option that says how long they are.
        seconds: Its value.
    """
    grid, backbone, name = model.grid, model.backbone, model.spec.backbone.name
    steps = grid.num_frames(round(seconds * grid.sample_rate))
    shortest = grid.first_frame_samples / grid.sample_rate
    require(steps >= 1, key, seconds, f"at least {shortest:g} s with backbone={name}")
    if backbone.max_frames is not None and not backbone.is_piecewise:
        longest = backbone.max_frames * grid.hop_length / grid.sample_rate
        is_short = steps * backbone.time_stride <= backbone.max_frames
        require(is_short, key, seconds, f"at most {longest:g} s with backbone={name}")


def warn_of_mistakes(model: SedModel, config: RunConfig, splits: Splits) -> None:
    """Log warnings about likely mistakes."""
    longest, step_s = float(durations(splits.train).max(initial=0.0)), model.grid.hop_s
    if longest < config.data.clip_seconds - step_s:
        words = "every training clip is padded with silence: the longest lasts %g s, data.clip_seconds=%g"
        logger.warning(words, longest, config.data.clip_seconds)
    learnt, tested = (summarise(clips, splits.classes).events for clips in (splits.train, splits.test))
    missing = [label for label, count in tested.items() if count and not learnt[label]]
    if missing and config.data.has_labels:
        words = "classes of the test part without an event in the training part: %d, such as %r; they score by chance"
        logger.warning(words, len(missing), missing[0])
    if config.task == "detection" and step_s > COARSE_S:
        words = "backbone=%s gives one score each %g s, too few to find events; see docs, Published systems"
        logger.warning(words, config.backbone.name, step_s)
