"""Every batch holds as many clips of each subset as it should, in any number of processes and after a stop."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from efficient_sed.data.samplers import ComposedSampler, Draw, EpochSampler, Share


def clips_of(draws: list[Draw]) -> list[int]:
    return [draw.clip for draw in draws]


def mixed(
    num_strong: int,
    num_weak: int,
    num_batches: int,
    rank: int = 0,
    world_size: int = 1,
    weights: np.ndarray | None = None,
    factor: int = 1,
) -> ComposedSampler:
    """Batches of five, two of them weak, or of as many more as a factor says."""
    strong = Share(np.arange(num_strong), 3 * factor, weights)
    weak = Share(np.arange(num_strong, num_strong + num_weak), 2 * factor, np.arange(1.0, num_weak + 1))
    return ComposedSampler([strong, weak], 7, num_batches, rank, world_size)


def mixed_order(sampler: ComposedSampler, epoch: int = 0) -> list[Draw]:
    sampler.set_epoch(epoch)
    return list(sampler)


def test_mixed_batches_by_statistics() -> None:
    draws = mixed_order(mixed(20, 4, 4_000))
    assert len(draws) == len(mixed(20, 4, 4_000)) == 20_000
    clips = np.array(clips_of(draws)).reshape(-1, 5)
    assert ((clips >= 20) == [False, False, False, True, True]).all()
    np.testing.assert_allclose(np.bincount(clips[:, 3:].ravel() - 20) / 8_000, np.arange(1, 5) / 10, atol=0.02)
    assert set(np.bincount(clips[:, :3].ravel())) == {600}  # strong clips are spread evenly, as without weak ones
    assert clips[:, :3].ravel().tolist() == clips_of(list(EpochSampler(20, 7, 12_000)))
    assert len(set(draws)) == len(draws)  # repeats are counted for both kinds
    balanced = np.array(clips_of(mixed_order(mixed(20, 4, 4_000, weights=np.arange(20.0))))).reshape(-1, 5)
    np.testing.assert_allclose(
        np.bincount(balanced[:, :3].ravel(), minlength=20) / 12_000, np.arange(20) / 190, atol=0.01
    )


def test_weak_draws_are_their_own() -> None:
    """With as many weak clips as strong ones and the same weights, the two are not drawn alike."""
    shares = [Share(np.arange(50), 1, np.ones(50)), Share(np.arange(50, 100), 1, np.ones(50))]
    clips = np.array(clips_of(mixed_order(ComposedSampler(shares, 0, 100)))).reshape(-1, 2)
    assert (clips[:, 0] == clips[:, 1] - 50).mean() < 0.2


@given(
    num_strong=st.integers(1, 60),
    num_batches=st.integers(0, 12),
    world_size=st.integers(1, 4),
    epoch=st.integers(0, 3),
    done=st.integers(0, 4),
)
def test_processes_share_mixed_batches(
    num_strong: int, num_batches: int, world_size: int, epoch: int, done: int
) -> None:
    """All processes together read what one process with a larger batch would, also when a stopped epoch continues."""
    shards = [mixed_order(mixed(num_strong, 6, num_batches, rank, world_size), epoch) for rank in range(world_size)]
    assert {len(shard) for shard in shards} == {5 * num_batches}
    alone = mixed_order(mixed(num_strong, 6, num_batches, factor=world_size), epoch)
    for step in range(num_batches):
        together = [draw for shard in shards for draw in shard[5 * step : 5 * step + 5]]
        assert sorted(together) == sorted(alone[5 * world_size * step : 5 * world_size * (step + 1)])
    resumed = mixed(num_strong, 6, num_batches, 0, world_size)
    resumed.num_done = 5 * done
    assert mixed_order(resumed, epoch) == shards[0][5 * done :]
    assert mixed_order(resumed, epoch) == shards[0]
