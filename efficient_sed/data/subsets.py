"""Which clips of the training part a run learns from, and how its batches are made of subsets of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.config.run import RunConfig
from efficient_sed.data.dataset import StoredTeacher
from efficient_sed.data.events import FRAMEWISE, LABELLED, Clip
from efficient_sed.data.samplers import WEIGHTS, Share, weights_by_clips
from efficient_sed.data.storage.columns import group_clips, of_kinds, select
from efficient_sed.errors import ConfigError, DataError, nearest

logger = logging.getLogger(__name__)


def scorable(clips: Sequence[Clip], task: str) -> Sequence[Clip]:
    """Clips of a part that a task can be scored on: detection needs labels of frames, tagging labels of any kind."""
    return of_kinds(clips, FRAMEWISE if task == "detection" else LABELLED)


def learnable(
    run: RunConfig, clips: Sequence[Clip], stored: StoredTeacher | None = None, *, is_silent: bool = False
) -> Sequence[Clip]:
    """Leave out training clips from which nothing can be learnt: unlabelled ones that no teacher labels.

    Args:
        run: Its options say which teachers there are.
        clips: The training part.
        stored: Teacher that `data.pseudo_labels` or `data.clip_teacher` names; default None: none, or not read yet.
        is_silent: Say nothing of those that are left out.
    """
    is_unread = stored is None and bool(run.data.pseudo_labels or run.data.clip_teacher)
    groups, number = group_clips(clips)
    is_unlabelled = np.array([group.kind == "unlabelled" for group in groups], dtype=bool)
    if run.train.mean_teacher or run.train.teachers or is_unread or not is_unlabelled.any():
        return clips
    is_kept = ~is_unlabelled[number]
    if stored is not None:
        is_kept |= np.fromiter((clip.id in stored for clip in clips), dtype=bool, count=len(clips))
    if not is_silent and (num_lost := int(np.count_nonzero(~is_kept))):
        which = "that the teacher lacks" if stored is not None else "that no teacher labels"
        advice = "train.mean_teacher=true learns from them"
        logger.warning("%s unlabelled training clips %s are left out; %s", f"{num_lost:,}", which, advice)
    return select(clips, is_kept)


def count_by_subset(clips: Sequence[Clip]) -> dict[str, int]:
    """Clips of a part by subset, in order of their first clips."""
    return {name: int(np.count_nonzero(is_member)) for name, is_member in _members(clips).items()}


def _members(clips: Sequence[Clip]) -> dict[str, np.ndarray]:
    """Mask of each subset, shape (clips,)."""
    groups, number = group_clips(clips)
    found: dict[str, np.ndarray] = {}
    for index, group in enumerate(groups):
        found[group.name] = found.get(group.name, np.zeros(len(number), dtype=bool)) | (number == index)
    return found


def check_subsets(run: RunConfig, clips: Sequence[Clip]) -> None:
    """Raise a ConfigError if `train.batch_clips` names a subset that is not there, or from which nothing is learnt."""
    there, learnt = count_by_subset(clips), count_by_subset(learnable(run, clips, is_silent=True))
    for name in run.train.batch_clips or ():
        if name in there and name not in learnt:
            alone = f"train.batch_clips names {name!r}, whose clips are unlabelled, and nothing teaches on them"
            raise ConfigError(f"{alone}; give train.mean_teacher=true, or leave the subset out")
        if name not in there:
            counts = ", ".join(f"{own} ({count:,} clips)" for own, count in there.items())
            has = f"the training part has the subsets {counts}"
            raise ConfigError(f"train.batch_clips names {name!r}; {has}; {nearest(name, there)}")


def compose_batches(run: RunConfig, clips: Sequence[Clip], grid: FrameGrid) -> list[Share]:
    """What `train.batch_clips` makes of the training part: the subsets in the order of the data.

    `train.sampler=balanced` balances the classes within each subset; unlabelled clips that carry labels of other
    classes are always drawn by these.

    Raises:
        DataError: If no whole batch can be made, or balanced clips hold no event.
    """
    wanted, members = dict(run.train.batch_clips or {}), _members(clips)
    shares = []
    for name, mask in members.items():
        if not wanted.get(name):
            words = "%s clips %r of the training part take part in no batch: train.batch_clips does not name them"
            logger.warning(words, f"{np.count_nonzero(mask):,}", name)
            continue
        own = select(clips, mask)
        is_unlabelled = not len(of_kinds(own, LABELLED))
        weights = None
        if is_unlabelled:
            by_labels = weights_by_clips(own)
            weights = by_labels if by_labels.any() else None
        elif run.train.sampler == "balanced":
            weights = balanced_weights(run, own, grid)
        shares.append(Share(np.flatnonzero(mask), wanted[name], weights))
    if run.train.draws(count_by_subset(clips)) < run.train.batch_size:
        epoch = run.train.draws_per_epoch
        least = "one pass over a subset" if epoch is None else f"train.draws_per_epoch={epoch}"
        raise DataError(f"{least} does not fill a batch of train.batch_size={run.train.batch_size}; give a smaller one")
    return shares


def balanced_weights(run: RunConfig, clips: Sequence[Clip], grid: FrameGrid) -> np.ndarray:
    """Relative frequency of each clip under `train.sampler=balanced`, shape (clips,).

    Raises:
        DataError: If no clip holds an event, or unlabelled ones would never be drawn.
    """
    if len(of_kinds(clips, LABELLED)) < len(clips):
        raise DataError(
            "train.sampler=balanced never draws a clip without labels, and the training part has unlabelled ones; "
            "compose the batches of subsets: train.batch_clips={SUBSET: CLIPS, …}"
        )
    weights = WEIGHTS[run.task](clips, grid)
    if not weights.any():
        raise DataError(
            "train.sampler=balanced draws clips by their events, and the train part holds none; give "
            "train.sampler=uniform"
        )
    return weights
