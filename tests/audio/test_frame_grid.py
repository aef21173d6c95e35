"""The grid between samples, frames and seconds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efficient_sed.audio.grid import FrameGrid


def test_hop_of_the_released_models() -> None:
    assert FrameGrid().hop_s == pytest.approx(0.04)
    assert FrameGrid().num_frames(160_000) == 250


@given(st.integers(0, 10_000))
def test_an_event_of_one_frame_touches_that_frame_alone(frame: int) -> None:
    """In spite of binary fractions, as of 0.12 s."""
    grid = FrameGrid()
    assert (grid.onset_frame(frame * 0.04), grid.offset_frame((frame + 1) * 0.04)) == (frame, frame + 1)


@pytest.mark.parametrize(("num_samples", "num_frames"), [(1, 1), (640, 1), (641, 2), (1280, 2)])
def test_a_last_frame_may_be_short(num_samples: int, num_frames: int) -> None:
    assert FrameGrid().num_frames(num_samples) == num_frames


def test_frames_that_need_more_than_a_sample() -> None:
    grid = FrameGrid(44_100, 441, 1, first_frame_samples=441)
    assert [grid.num_frames(samples) for samples in (440, 441, 881, 882)] == [0, 1, 1, 2]
