"""Epochs: what is drawn, how often, and by which process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.events import Clip, Event, encode_events
from efficient_sed.data.samplers import Draw, EpochSampler, weights_by_clips, weights_by_frames
from efficient_sed.data.storage.sources import AudioFile

GRID = FrameGrid()


def clip(name: str, *events: tuple[float, float, str]) -> Clip:
    return Clip(name, AudioFile(Path(name)), 10.0, tuple(Event(*event) for event in events))


def order(sampler: EpochSampler, epoch: int = 0) -> list[Draw]:
    sampler.set_epoch(epoch)
    draws = list(sampler)
    assert len(draws) == len(sampler)
    return draws


def clips_of(draws: list[Draw]) -> list[int]:
    return [draw.clip for draw in draws]


def test_one_pass_by_default() -> None:
    for epoch in range(3):
        draws = order(EpochSampler(50, 0), epoch)
        assert {draw.epoch for draw in draws} == {epoch}
        assert sorted(clips_of(draws)) == list(range(50))
        assert {draw.repeat for draw in draws} == {0}
        assert draws == order(EpochSampler(50, 0), epoch)
    assert len({tuple(clips_of(order(EpochSampler(50, seed), epoch))) for seed in range(3) for epoch in range(3)}) == 9


@pytest.mark.parametrize(("num_draws", "times"), [(20, {0, 1}), (50, {1}), (120, {2, 3})])
def test_draws_without_weights_are_spread_evenly(num_draws: int, times: set[int]) -> None:
    draws = order(EpochSampler(50, 0, num_draws))
    assert len(draws) == num_draws
    assert set(np.bincount(clips_of(draws), minlength=50)) == times


def test_repeats_are_counted() -> None:
    draws = order(EpochSampler(4, 0, 100, np.array([1.0, 2.0, 0.0, 5.0])))
    for number in range(4):
        repeats = [draw.repeat for draw in draws if draw.clip == number]
        assert repeats == list(range(len(repeats)))
    assert 2 not in clips_of(draws)


def test_weights_are_frequencies() -> None:
    weights = np.array([1.0, 3.0, 0.5, 8.0])
    counts = np.bincount(clips_of(order(EpochSampler(4, 0, 40_000, weights))), minlength=4)
    np.testing.assert_allclose(counts / 40_000, weights / weights.sum(), atol=0.01)
    assert order(EpochSampler(4, 1, 30, weights), 2) == order(EpochSampler(4, 1, 30, weights), 2)
    assert clips_of(order(EpochSampler(4, 1, 30, weights), 2)) != clips_of(order(EpochSampler(4, 1, 30, weights), 3))


@given(
    num_clips=st.integers(1, 60),
    num_draws=st.integers(1, 150),
    world_size=st.integers(1, 5),
    is_weighted=st.booleans(),
    epoch=st.integers(0, 3),
)
def test_processes_share_one_order(
    num_clips: int, num_draws: int, world_size: int, is_weighted: bool, epoch: int
) -> None:
    weights = np.arange(1.0, num_clips + 1) if is_weighted else None
    whole = order(EpochSampler(num_clips, 7, num_draws, weights), epoch)
    shards = [
        order(EpochSampler(num_clips, 7, num_draws, weights, rank, world_size), epoch) for rank in range(world_size)
    ]
    assert {len(shard) for shard in shards} == {num_draws // world_size}  # else a process would wait for ever
    together = [draw for step in zip(*shards, strict=True) for draw in step]
    assert together == whole[: len(together)]
    assert len(whole) - len(together) < world_size
    assert len(set(together)) == len(together)  # no draw is read twice


def test_weights_of_frames_by_hand() -> None:
    clips = [
        clip("a", (0.0, 4.0, "dog"), (5.0, 6.0, "cat")),  # 100 frames of dog, 25 of cat
        clip("b", (0.0, 1.0, "dog"), (0.5, 2.0, "dog"), (0.01, 0.03, "cat")),  # 50 of dog, counted once; 1 of cat
        clip("c"),
        clip("d", (9.0, 12.0, "owl")),  # 25 within the clip
    ]
    expected = [100e3 / 180 + 25e3 / 56, 50e3 / 180 + 1e3 / 56, 0, 25e3 / 55]
    np.testing.assert_allclose(weights_by_frames(clips, GRID), expected)


@given(
    st.lists(
        st.lists(st.tuples(st.floats(0, 9.9), st.floats(0.001, 5), st.sampled_from("abc")), max_size=6),
        min_size=1,
        max_size=5,
    )
)
def test_weights_of_frames_against_targets(drawn: list[list[tuple[float, float, str]]]) -> None:
    clips = [
        clip(str(number), *sorted((onset, onset + length, label) for onset, length, label in events))
        for number, events in enumerate(drawn)
    ]
    counts = np.stack([encode_events(c.events, "abc", GRID, 250).sum(1) for c in clips])  # (clips, classes)
    np.testing.assert_allclose(weights_by_frames(clips, GRID), (counts * 1000 / (30 + counts.sum(0))).sum(1), rtol=1e-6)


def test_weights_of_clips_by_hand() -> None:
    clips = [
        clip("a", (0, 10, "dog"), (0, 10, "cat")),
        clip("b", (0, 1, "dog"), (2, 3, "dog")),
        clip("c"),
        clip("d", (0, 1, "dog")),
    ]
    np.testing.assert_allclose(weights_by_clips(clips), [1000 / 103 + 1000 / 101, 1000 / 103, 0, 1000 / 103])


def test_balancing_evens_out_rare_classes() -> None:
    clips = [clip(f"common{k}", (0, 10, "common")) for k in range(990)] + [
        clip(f"rare{k}", (0, 10, "rare")) for k in range(10)
    ]
    counts = np.bincount(clips_of(order(EpochSampler(1000, 0, 10_000, weights_by_frames(clips, GRID)))), minlength=1000)
    assert counts[990:].sum() / 10_000 == pytest.approx(0.5, abs=0.05)
