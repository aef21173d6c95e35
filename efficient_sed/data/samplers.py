"""Which clips an epoch is made of, in which order, and which process reads which of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.events import Clip
from efficient_sed.data.storage.columns import Block, iterate_blocks

FRAMES_OFFSET, CLIPS_OFFSET = 30, 100  # added to a class's count, so that the rarest classes do not fill every batch


class Draw(NamedTuple):
    """One training example to read: what its random excerpt depends on."""

    epoch: int
    clip: int
    repeat: int = 0
    """How often the clip was drawn before in this epoch."""


class EpochSampler(Sampler[Draw]):
    """One global order per epoch, fixed by seed and epoch, of which each process draws its own part.

    Without weights an epoch is a permutation, cut or continued by further ones to the number of draws; with weights it
    is drawn with replacement. (The published sampler draws 100,000 of 100,911 clips without replacement, which leaves
    its weights almost without effect.)

    Process r of w takes draws r, r + w, ..., so a step of all processes reads what one process with w times the batch
    would read. If w does not divide the draws, the rest is not read.

    Args:
        num_clips: Clips to draw from.
        num_draws: Length of an epoch over all processes; default None, one pass.
        weights: Relative frequency of each clip, shape (clips,); default None, all alike.
        rank: Number of this process, of `world_size`.
        stream: Further seeds, for a second sampler beside this one.
    """

    def __init__(
        self,
        num_clips: int,
        seed: int,
        num_draws: int | None = None,
        weights: np.ndarray | None = None,
        rank: int = 0,
        world_size: int = 1,
        stream: Sequence[int] = (),
    ) -> None:
        self.num_clips, self.seed, self.epoch, self.stream = num_clips, seed, 0, stream
        self.num_draws = num_clips if num_draws is None else num_draws
        self.probabilities = None if weights is None else weights / weights.sum()
        self.rank, self.world_size = rank, world_size
        self.num_done = 0
        """Draws of this process that the next epoch leaves out: they were made before the training was stopped."""

    def __len__(self) -> int:
        return self.num_draws // self.world_size

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order is drawn next."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Draw]:
        order = self._global_order()
        own = slice(self.rank + self.num_done * self.world_size, len(self) * self.world_size, self.world_size)
        clips, repeats = order[own], _count_earlier(order)[own]
        self.num_done = 0
        return (Draw(self.epoch, int(clip), int(repeat)) for clip, repeat in zip(clips, repeats, strict=True))

    def _global_order(self) -> np.ndarray:
        """Clips that all processes draw, shape (draws,)."""
        rng = np.random.default_rng([self.seed, self.epoch, *self.stream])
        if self.probabilities is not None:
            return rng.choice(self.num_clips, self.num_draws, p=self.probabilities)
        passes = max(1, -(-self.num_draws // self.num_clips))
        return np.concatenate([rng.permutation(self.num_clips) for _ in range(passes)])[: self.num_draws]


def _count_earlier(order: np.ndarray) -> np.ndarray:
    """For each element, how many before it are equal to it."""
    by_value = np.argsort(order, kind="stable")
    ordered = order[by_value]
    earlier = np.empty(len(order), dtype=np.int64)
    earlier[by_value] = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    return earlier


class Share(NamedTuple):
    """A subset of the training clips, and its place in every batch."""

    clips: np.ndarray
    """Positions of its clips in the training part, shape (clips,)."""
    per_batch: int
    """Clips of it in a batch of one process."""
    weights: np.ndarray | None = None
    """Relative frequency of each, shape (clips,); None, all alike."""


class ComposedSampler(Sampler[Draw]):
    """Whole batches with the same number of clips of each subset in every batch of every process.

    The clips of a subset are drawn as `EpochSampler` draws them.

    Args:
        shares: The subsets, in the order that they have in a batch.
        num_batches: Of an epoch, of one process.
        rank: Number of this process, of `world_size`.
    """

    def __init__(
        self, shares: Sequence[Share], seed: int, num_batches: int, rank: int = 0, world_size: int = 1
    ) -> None:
        self.shares, self.num_batches, self.num_done = shares, num_batches, 0
        self.batch_size = sum(share.per_batch for share in shares)
        self._samplers = [
            EpochSampler(
                len(share.clips), seed, num_batches * world_size * share.per_batch, share.weights, rank, world_size,
                stream=(number,) if number else (),
            )
            for number, share in enumerate(shares)
        ]  # fmt: skip

    def __len__(self) -> int:
        return self.num_batches * self.batch_size

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order is drawn next."""
        for sampler in self._samplers:
            sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[Draw]:
        draws = [_renumbered(sampler, share.clips) for sampler, share in zip(self._samplers, self.shares, strict=True)]
        own = (
            draw
            for _ in range(self.num_batches)
            for drawn, share in zip(draws, self.shares, strict=True)
            for draw in itertools.islice(drawn, share.per_batch)
        )
        done, self.num_done = self.num_done, 0
        return itertools.islice(own, done, None)


def _renumbered(sampler: EpochSampler, clips: np.ndarray) -> Iterator[Draw]:
    """Draws of a subset with positions in the training part."""
    return (draw._replace(clip=int(clips[draw.clip])) for draw in sampler)


def weights_by_frames(clips: Sequence[Clip], grid: FrameGrid) -> np.ndarray:
    """Sum over a clip's classes of its frames * 1000 / (30 + frames of that class in all clips), shape (clips,).

    Morocutti et al. 2025, released code.
    """
    return _balance(clips, lambda block: filled_frames(block, grid), FRAMES_OFFSET)


def weights_by_clips(clips: Sequence[Clip]) -> np.ndarray:
    """Sum over a clip's classes of 1000 / (100 + clips with that class), shape (clips,).

    Schmid et al. 2023, released code.
    """
    return _balance(clips, _present, CLIPS_OFFSET)


WEIGHTS: dict[str, Callable[[Sequence[Clip], FrameGrid], np.ndarray]] = {
    "detection": weights_by_frames,
    "tagging": lambda clips, _: weights_by_clips(clips),
}
"""What `train.sampler=balanced` means for each task."""


class _Counts(NamedTuple):
    """Arrays with an entry for each clip and class that it holds: how much of it."""

    clip: np.ndarray
    label: np.ndarray
    amount: np.ndarray


def filled_frames(block: Block, grid: FrameGrid) -> _Counts:
    """Frames that each class fills; those under two events of a class count once."""
    first = np.floor(np.round(block.onset_s / grid.hop_s, 6)).astype(np.int64)
    length = np.ceil(np.round(block.duration_s / grid.hop_s, 6)).astype(np.int64)
    last = np.minimum(np.ceil(np.round(block.offset_s / grid.hop_s, 6)).astype(np.int64), length[block.clip])
    order = np.lexsort((block.onset_s, block.label, block.clip))
    clip, label, first, last = (values[order] for values in (block.clip, block.label, first, last))
    is_begin = _is_begin(clip, label)
    group = np.cumsum(is_begin) - 1
    # so that a running maximum begins anew with each class of each clip
    beyond = group * (int(last.max(initial=0)) + 1)
    filled_until = np.roll(np.maximum.accumulate(np.maximum(last, 0) + beyond) - beyond, 1)
    filled_until[is_begin] = 0
    frames = np.maximum(0, last - np.maximum(first, filled_until))
    return _Counts(clip[is_begin], label[is_begin], np.bincount(group, frames, int(is_begin.sum())))


def _present(block: Block) -> _Counts:
    """One for each class that a clip holds."""
    order = np.lexsort((block.label, block.clip))
    clip, label = block.clip[order], block.label[order]
    is_begin = _is_begin(clip, label)
    return _Counts(clip[is_begin], label[is_begin], np.ones(int(is_begin.sum())))


def _is_begin(clip: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Whether an entry of sorted ones differs from the one before."""
    return np.asarray((np.diff(clip, prepend=-1) != 0) | (np.diff(label, prepend=-1) != 0))


def _balance(clips: Sequence[Clip], count: Callable[[Block], _Counts], offset: int) -> np.ndarray:
    counts, num_clips = [], 0
    for block in iterate_blocks(clips, {}):
        clip, label, amount = (column.astype(np.int32) for column in count(block))
        counts.append(_Counts(clip + np.int32(num_clips), label, amount))
        num_clips += len(block.duration_s)
    if not counts:
        return np.zeros(0)
    clip, label, amount = (np.concatenate(columns) for columns in zip(*counts, strict=True))
    totals = np.bincount(label, amount)
    return np.bincount(clip, amount * 1000.0 / (offset + totals[label]), num_clips)
