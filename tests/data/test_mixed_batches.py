"""Every batch holds as many weak clips as it should, in any number of processes and after a stop."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from efficient_sed.data.samplers import Draw, EpochSampler, MixedSampler


def clips_of(draws: list[Draw]) -> list[int]:
    return [draw.clip for draw in draws]


def mixed(
    num_strong: int,
    num_weak: int,
    num_draws: int | None,
    rank: int = 0,
    world_size: int = 1,
    weights: np.ndarray | None = None,
) -> MixedSampler:
    """Batches of five, two of them weak."""
    return MixedSampler(num_strong, 7, np.arange(1.0, num_weak + 1), 5, 2, num_draws, weights, rank, world_size)


def mixed_order(sampler: MixedSampler, epoch: int = 0) -> list[Draw]:
    sampler.set_epoch(epoch)
    return list(sampler)


def test_mixed_batches_by_statistics() -> None:
    draws = mixed_order(mixed(20, 4, 20_000))
    assert len(draws) == len(mixed(20, 4, 20_000)) == 20_000
    clips = np.array(clips_of(draws)).reshape(-1, 5)
    assert ((clips >= 20) == [False, False, False, True, True]).all()
    np.testing.assert_allclose(np.bincount(clips[:, 3:].ravel() - 20) / 8_000, np.arange(1, 5) / 10, atol=0.02)
    assert set(np.bincount(clips[:, :3].ravel())) == {600}  # strong clips are spread evenly, as without weak ones
    assert clips[:, :3].ravel().tolist() == clips_of(list(EpochSampler(20, 7, 12_000)))
    assert len(set(draws)) == len(draws)  # repeats are counted for both kinds
    balanced = np.array(clips_of(mixed_order(mixed(20, 4, 20_000, weights=np.arange(20.0))))).reshape(-1, 5)
    np.testing.assert_allclose(
        np.bincount(balanced[:, :3].ravel(), minlength=20) / 12_000, np.arange(20) / 190, atol=0.01
    )


def test_weak_draws_are_their_own() -> None:
    """With as many weak clips as strong ones and the same weights, the two are not drawn alike."""
    clips = np.array(clips_of(mixed_order(MixedSampler(50, 0, np.ones(50), 2, 1, 200, np.ones(50))))).reshape(-1, 2)
    assert (clips[:, 0] == clips[:, 1] - 50).mean() < 0.2


@given(
    num_strong=st.integers(1, 60),
    num_draws=st.one_of(st.none(), st.integers(1, 150)),
    world_size=st.integers(1, 4),
    epoch=st.integers(0, 3),
    done=st.integers(0, 4),
)
def test_processes_share_mixed_batches(
    num_strong: int, num_draws: int | None, world_size: int, epoch: int, done: int
) -> None:
    """All processes together read what one process with a larger batch would, also when a stopped epoch continues."""
    shards = [mixed_order(mixed(num_strong, 6, num_draws, rank, world_size), epoch) for rank in range(world_size)]
    num_batches = num_strong // (3 * world_size) if num_draws is None else num_draws // (5 * world_size)
    assert {len(shard) for shard in shards} == {5 * num_batches}
    alone = mixed_order(
        MixedSampler(num_strong, 7, np.arange(1.0, 7), 5 * world_size, 2 * world_size, num_draws), epoch
    )
    for step in range(num_batches):
        together = [draw for shard in shards for draw in shard[5 * step : 5 * step + 5]]
        assert sorted(together) == sorted(alone[5 * world_size * step : 5 * world_size * (step + 1)])
    resumed = mixed(num_strong, 6, num_draws, 0, world_size)
    resumed.num_done = 5 * done
    assert mixed_order(resumed, epoch) == shards[0][5 * done :]
    assert mixed_order(resumed, epoch) == shards[0]
