"""Which clips an epoch is made of, in which order, and which process reads which of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.events import Clip

FRAMES_OFFSET, CLIPS_OFFSET = 30, 100  # added to a class's count, so that the rarest classes do not fill every batch


class Draw(NamedTuple):
    """One training example to read: what its random excerpt depends on."""

    epoch: int
    clip: int
    repeat: int = 0
    """How often the clip was drawn before in this epoch."""


class EpochSampler(Sampler[Draw]):
    """One global order per epoch, fixed by seed and epoch, of which each process draws its own part. Lightning calls `set_epoch`, after a resume too.

    Without weights an epoch is a permutation, cut or continued by further ones to the number of draws, so that no clip is drawn twice before all
    are drawn once; with weights it is drawn with replacement. (The published sampler draws 100,000 of 100,911 clips without replacement, which
    leaves its weights almost without effect.)

    Process r of w takes draws r, r + w, ...: a step of all processes together reads what one process with w times the batch would read. What is
    left over when w does not divide the draws is not read, so that all processes take the same number of steps.

    Args:
        num_clips: Clips to draw from.
        num_draws: Length of an epoch over all processes; none for one pass.
        weights: Relative frequency of each clip, shape (clips,).
        rank: This process, of `world_size`.
        stream: Sets the draws of a second sampler of the same seed apart.
    """

    def __init__(
        self, num_clips: int, seed: int, num_draws: int | None = None, weights: np.ndarray | None = None, rank: int = 0, world_size: int = 1, stream: Sequence[int] = ()
    ) -> None:
        self.num_clips, self.seed, self.epoch, self.stream = num_clips, seed, 0, stream
        self.num_draws = num_clips if num_draws is None else num_draws
        self.probabilities = None if weights is None else weights / weights.sum()
        self.rank, self.world_size = rank, world_size
        self.num_done = 0
        """Draws of this process that the next epoch leaves out, because a training that was stopped in it made them."""

    def __len__(self) -> int:
        return self.num_draws // self.world_size

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def global_order(self) -> list[Draw]:
        """The draws of all processes."""
        rng = np.random.default_rng([self.seed, self.epoch, *self.stream])
        if self.probabilities is None:
            passes = max(1, -(-self.num_draws // self.num_clips))
            order = np.concatenate([rng.permutation(self.num_clips) for _ in range(passes)])[: self.num_draws]
        else:
            order = rng.choice(self.num_clips, self.num_draws, p=self.probabilities)
        return [Draw(self.epoch, clip, repeat) for clip, repeat in zip(order.tolist(), _count_earlier(order).tolist(), strict=True)]

    def __iter__(self) -> Iterator[Draw]:
        own = self.global_order()[self.rank : len(self) * self.world_size : self.world_size]
        done, self.num_done = self.num_done, 0
        return iter(own[done:])


def _count_earlier(order: np.ndarray) -> np.ndarray:
    """For each element, how many before it are equal to it."""
    by_value = np.argsort(order, kind="stable")
    ordered = order[by_value]
    earlier = np.empty(len(order), dtype=np.int64)
    earlier[by_value] = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    return earlier


def weights_by_frames(clips: Sequence[Clip], grid: FrameGrid) -> np.ndarray:
    """Sum over a clip's classes of its frames * 1000 / (30 + frames of that class in all clips), shape (clips,). Morocutti et al. 2025, released code."""
    return _balance([_frames_by_class(clip, grid) for clip in clips], FRAMES_OFFSET)


def weights_by_clips(clips: Sequence[Clip]) -> np.ndarray:
    """Sum over a clip's classes of 1000 / (100 + clips with that class), shape (clips,). Schmid et al. 2023, released code."""
    return _balance([dict.fromkeys((event.label for event in clip.events), 1) for clip in clips], CLIPS_OFFSET)


WEIGHTS: dict[str, Callable[[Sequence[Clip], FrameGrid], np.ndarray]] = {
    "detection": weights_by_frames,
    "tagging": lambda clips, _: weights_by_clips(clips),
}
"""What `train.sampler=balanced` means for each task."""


def _frames_by_class(clip: Clip, grid: FrameGrid) -> dict[str, int]:
    """Frames that each class fills; those under two events of a class count once."""
    length = grid.offset_frame(clip.duration_s)
    filled: defaultdict[str, int] = defaultdict(int)
    filled_until: defaultdict[str, int] = defaultdict(int)
    for event in sorted(clip.events):
        first = max(grid.onset_frame(event.onset_s), filled_until[event.label])
        last = min(grid.offset_frame(event.offset_s), length)
        if first < last:
            filled[event.label] += last - first
            filled_until[event.label] = last
    return filled


def _balance(counts: Sequence[dict[str, int]], offset: int) -> np.ndarray:
    totals: defaultdict[str, int] = defaultdict(int)
    for clip in counts:
        for label, count in clip.items():
            totals[label] += count
    return np.array([sum(count * 1000 / (offset + totals[label]) for label, count in clip.items()) for clip in counts], dtype=np.float64)
