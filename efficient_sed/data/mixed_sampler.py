"""Epochs of batches that hold a fixed number of weak clips each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from efficient_sed.data.sampler import Draw, EpochSampler


class MixedSampler(Sampler[Draw]):
    """Whole batches of strong and weak clips, the same number of each in every batch of every process; weak clips are numbered on after the strong ones.

    Strong clips are drawn in the order that an EpochSampler has without weak ones.

    Args:
        num_strong: Clips to draw from, and their `weights`, none for all alike.
        weak_weights: Relative frequency of each weak clip, shape (weak clips,).
        batch_size: Clips in a batch of one process, `weak_per_batch` of them weak.
        num_draws: Length of an epoch over all processes, strong and weak; none for one pass over the strong clips. What fills no batch is not read.
        rank: This process, of `world_size`.
    """

    def __init__(
        self, num_strong: int, seed: int, weak_weights: np.ndarray, batch_size: int, weak_per_batch: int, num_draws: int | None = None, weights: np.ndarray | None = None,
        rank: int = 0, world_size: int = 1,
    ) -> None:  # fmt: skip
        strong_per_batch = batch_size - weak_per_batch
        self.batch_size, self.num_strong, self.num_done = batch_size, num_strong, 0
        self.num_batches = (
            num_strong // (strong_per_batch * world_size)
            if num_draws is None
            else num_draws // (batch_size * world_size)
        )
        self.num_draws = self.num_batches * batch_size * world_size
        self._per_batch = (strong_per_batch, weak_per_batch)
        self._strong = EpochSampler(
            num_strong, seed, self.num_batches * strong_per_batch * world_size, weights, rank, world_size
        )
        self._weak = EpochSampler(
            len(weak_weights),
            seed,
            self.num_batches * weak_per_batch * world_size,
            weak_weights,
            rank,
            world_size,
            stream=(1,),
        )

    def __len__(self) -> int:
        return self.num_batches * self.batch_size

    def set_epoch(self, epoch: int) -> None:
        self._strong.set_epoch(epoch)
        self._weak.set_epoch(epoch)

    def __iter__(self) -> Iterator[Draw]:
        strong, weak = iter(self._strong), (draw._replace(clip=draw.clip + self.num_strong) for draw in self._weak)
        own = (
            draw
            for _ in range(self.num_batches)
            for kind, number in zip((strong, weak), self._per_batch, strict=True)
            for draw in itertools.islice(kind, number)
        )
        done, self.num_done = self.num_done, 0
        return itertools.islice(own, done, None)
