"""The stored teacher that a configuration names, and the clips that it can teach."""

from __future__ import annotations

import dataclasses
import logging

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.config.data import DataConfig
from efficient_sed.config.run import RunConfig
from efficient_sed.data.clip_teacher import ClipTeacher
from efficient_sed.data.dataset import StoredTeacher
from efficient_sed.data.events import Splits
from efficient_sed.data.pseudo_labels import PseudoLabels
from efficient_sed.data.storage.columns import select
from efficient_sed.errors import ConfigError, DataError

logger = logging.getLogger(__name__)


def stored_teacher(config: DataConfig, splits: Splits, grid: FrameGrid | None) -> StoredTeacher | None:
    """Open the stored teacher of a data set.

    Args:
        config: The data set.
        splits: Its clips.
        grid: Frames of the model to be trained; None for any.

    Returns:
        None if the configuration names no teacher.

    Raises:
        DataError: If it cannot be used, or holds none of the training clips.
    """
    if config.pseudo_labels:
        teacher: StoredTeacher = PseudoLabels(config.pseudo_labels, splits.classes, grid, config.clip_seconds)
    elif config.clip_teacher and config.clip_teacher_index:
        teacher = ClipTeacher(config.clip_teacher, config.clip_teacher_index, splits.classes)
    else:
        return None
    if not any(clip.id in teacher for clip in splits.train):
        raise DataError(
            f"{teacher.path}: holds none of the {len(splits.train)} training clips (such as {splits.train[0].id!r})"
        )
    return teacher


def with_teacher(run: RunConfig, splits: Splits, teacher: StoredTeacher | None, grid: FrameGrid) -> Splits:
    """Leave out unlabelled training clips that the teacher does not hold.

    Raises:
        ConfigError: If the loss would also take labels, which there are none of.
        DataError: If the teacher's logits end before a clip does: the rest would count as silence.
    """
    if (teacher is None and not run.train.teacher) or run.train.distillation_weight < 1:
        allowed = "only with a teacher as the only target: data.pseudo_labels=FILE or train.teacher=NAME, and "
        raise ConfigError(f"data.train=null is not allowed here: {allowed}train.distillation_weight=1")
    known = select(splits.train, (teacher is None or clip.id in teacher for clip in splits.train))
    longest = max(known, key=lambda clip: clip.duration_s)
    if isinstance(teacher, PseudoLabels) and longest.duration_s >= (teacher.num_frames + 1) * grid.hop_s:
        raise DataError(
            f"{teacher.path}: ends {teacher.num_frames * grid.hop_s:g} s into a clip, and {longest.id!r} has "
            f"{longest.duration_s:g} s; write it anew for these clips"
        )
    if len(known) < len(splits.train):
        num_unknown = len(splits.train) - len(known)
        logger.warning("%d of %d training clips are left out: the teacher lacks them", num_unknown, len(splits.train))
    return dataclasses.replace(splits, train=known, known_hash=None)
