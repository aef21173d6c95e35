"""Chains in pieces equal chains on the whole, and thresholds of each class."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.postprocessing.change_points import ChangePoints
from efficient_sed.postprocessing.contract import Chain
from efficient_sed.postprocessing.events import decode_events, decode_stream, find_all_runs
from efficient_sed.postprocessing.hysteresis import Hysteresis
from efficient_sed.postprocessing.median import Median
from efficient_sed.postprocessing.stream import smooth_stream

GRID = FrameGrid()
CLASSES = ["dog", "siren", "speech"]
CHAINS = [
    Chain(),
    Chain((Median((1, 9, 41)),)),
    Chain((Median((3, 5, 9)), Median(7))),
    Chain((ChangePoints((0.16, 0.32, 0.2), 0.1),)),
    Chain((Median(5), ChangePoints(0.16, math.inf, 1.2))),
    Chain((Hysteresis(0.6, 0.12, 0.2),)),
    Chain((Median((3, 5, 1)), Hysteresis((0.5, 1.0, 0.7), (0.0, 0.2, 0.08), 0.08))),
]


def pulses(seed: int, num_frames: int) -> np.ndarray:
    """Scores with events of at most 24 frames between silences of 12 to 36, so that the context holds each."""
    rng, scores = np.random.default_rng(seed), np.zeros((num_frames, 3))
    for column in range(3):
        frame = int(rng.integers(0, 20))
        while frame < num_frames:
            length = int(rng.integers(1, 25))
            scores[frame : frame + length, column] = rng.random(length)[: num_frames - frame] / 2 + 0.5
            frame += length + int(rng.integers(12, 37))
    return scores


@given(st.integers(0, 1000), st.lists(st.integers(0, 700), max_size=30), st.sampled_from(CHAINS))
def test_chains_in_pieces(seed: int, cuts: list[int], chain: Chain) -> None:
    scores = pulses(seed, 700)
    pieces = [piece for piece in np.split(scores, sorted(cuts)) if len(piece)]
    offline = chain.apply(scores, GRID.hop_s)
    np.testing.assert_array_equal(np.concatenate(list(smooth_stream(pieces, chain, GRID.hop_s))), offline)
    np.testing.assert_array_equal(np.concatenate(list(smooth_stream(pieces, chain, GRID.hop_s, 60.0))), offline)


@pytest.mark.parametrize("chain", CHAINS, ids=Chain.describe)
def test_frames_wait_for_the_look_ahead_alone(chain: Chain) -> None:
    scores = pulses(0, 600)
    waits = math.ceil(round(chain.look_ahead_s(GRID.hop_s) / GRID.hop_s, 6))
    given_out = 0
    for taken, piece in enumerate(smooth_stream(np.split(scores, 600), chain, GRID.hop_s), 1 + waits):
        given_out += len(piece)
        assert given_out == taken - waits or taken == 601
    assert given_out == 600


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_thresholds_of_each_class(dtype: type) -> None:
    scores, thresholds = np.random.default_rng(1).random((300, 3)).astype(dtype), (0.3, 0.7, 0.9)
    arguments = (CLASSES, GRID, thresholds, 12.0)
    found = decode_events(scores, *arguments)
    one_by_one = [
        event
        for column, (label, threshold) in enumerate(zip(CLASSES, thresholds, strict=True))
        for event in decode_events(scores[:, [column]], [label], GRID, threshold, 12.0)
    ]
    assert found == sorted(one_by_one)
    assert sorted(decode_stream(np.split(scores, 30), *arguments)) == found


def test_levels_of_each_class() -> None:
    scores, levels = np.random.default_rng(2).random((200, 3)), np.array([[0.1, 0.5, 0.2], [0.4, 0.6, 0.9]])
    runs = find_all_runs(scores, levels)
    for level in range(2):
        alone = find_all_runs(scores, levels[[level]])
        for found, want in zip(runs.select(runs.level == level)[1:], alone[1:], strict=True):
            np.testing.assert_array_equal(found, want)
