"""Hysteresis on scores equals the operation on active frames at every threshold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from efficient_sed.errors import ConfigError
from efficient_sed.postprocessing.hysteresis import Hysteresis

HOP_S = 0.04


def runs_of(active: list[bool]) -> list[tuple[int, int]]:
    edges = [k for k in range(len(active) + 1) if (k > 0 and active[k - 1]) != (k < len(active) and active[k])]
    return list(zip(edges[::2], edges[1::2], strict=True))


def active_slowly(row: np.ndarray, level: float, low: float, min_frames: int, gap_frames: int) -> list[bool]:
    """Frames of events at one threshold."""
    low = row.dtype.type(low)
    kept = [run for run in runs_of((row / low >= level).tolist()) if max(row[run[0] : run[1]]) >= level]
    joined: list[list[int]] = []
    for first, last in kept:
        if joined and first - joined[-1][1] <= gap_frames:
            joined[-1][1] = last
        else:
            joined.append([first, last])
    active = [False] * len(row)
    for first, last in joined:
        if last - first >= min_frames:
            active[first:last] = [True] * (last - first)
    return active


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=60),
    st.tuples(*[st.sampled_from([1.0, 0.5, 0.3, 0.01])] * 2),
    st.tuples(*[st.integers(0, 9) | st.just(70)] * 2),
    st.tuples(*[st.integers(0, 9) | st.just(70)] * 2),
    st.sampled_from([np.float32, np.float64]),
)
def test_every_threshold(
    values: list[tuple[int, int]],
    low: tuple[float, float],
    min_frames: tuple[int, int],
    gap_frames: tuple[int, int],
    dtype: type,
) -> None:
    scores = np.array(values, dtype) / dtype(12)
    seconds = (tuple(min(60.0, frames * HOP_S) for frames in each) for each in (min_frames, gap_frames))
    found = Hysteresis(low, *seconds).apply(scores, HOP_S)
    assert found.dtype == dtype
    for column in range(2):
        row = scores[:, column]
        levels = np.unique(np.concatenate([row, row / dtype(low[column]), found[:, column], [dtype(0.4)]]))
        for level in levels[levels > 0]:
            want = active_slowly(row, level, low[column], min_frames[column], gap_frames[column])
            assert (found[:, column] >= level).tolist() == want


def test_lengths_in_seconds() -> None:
    """0.1 s is more than two frames of 0.04 s: the shortest event has three, the largest gap two."""
    scores = np.zeros((20, 1))
    scores[[0, 1, 5, 6, 9, 12, 13, 14, 18]] = 0.8
    assert runs_of((Hysteresis(1, 0.1).apply(scores, HOP_S)[:, 0] > 0).tolist()) == [(12, 15)]
    assert runs_of((Hysteresis(1, 0.0, 0.1).apply(scores, HOP_S)[:, 0] > 0).tolist()) == [
        (0, 2), (5, 15), (18, 19),
    ]  # fmt: skip
    assert runs_of((Hysteresis(1, 0.12, 0.12).apply(scores, 0.12)[:, 0] > 0).tolist()) == [
        (0, 2),
        (5, 7),
        (9, 10),
        (12, 15),
        (18, 19),
    ]


def test_half_precision() -> None:
    scores = np.array([[0.25], [0.5], [0.125]], np.float16)
    found = Hysteresis(0.5).apply(scores, HOP_S)
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found[:, 0], [0.5, 0.5, 0.25])


def test_candidates_begin_with_none() -> None:
    scores = np.random.default_rng(0).random((50, 2))
    grid = Hysteresis.grid(HOP_S)
    assert len(set(grid)) == len(grid) == 27
    np.testing.assert_array_equal(grid[0].apply(scores, HOP_S), scores)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"low": 0.0}, r"hysteresis\.low=0\.0"),
        ({"low": (0.5, 1.1)}, r"hysteresis\.low=1\.1"),
        ({"min_event_s": -1}, r"hysteresis\.min_event_s=-1"),
        ({"max_gap_s": math.inf}, r"hysteresis\.max_gap_s=inf"),
    ],
)
def test_parameters_that_are_not_allowed(values: dict, line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        Hysteresis(**values)
