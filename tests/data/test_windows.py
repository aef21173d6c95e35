"""Windows cover every frame of a file once, and joined scores are those of the windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.windows import ClipWindows, Window, cut_windows, fade_logits, fade_scores, join_windows
from efficient_sed.errors import ConfigError

GRID = FrameGrid()
WINDOW_S = 10.0


@given(st.floats(0.1, 200.0), st.one_of(st.none(), st.floats(5.0, 10.0)))
def test_every_frame_is_used_once(duration_s: float, hop_s: float | None) -> None:
    windows = cut_windows(duration_s, WINDOW_S, GRID, hop_s)
    num_frames = max(1, int(np.ceil(round(duration_s / GRID.hop_s, 6))))
    position = np.arange(num_frames + 500, dtype=np.float32)[:, None]  # a frame's score is its number
    pieces = ((w, position[round(w.start_s / GRID.hop_s) :][: w.last]) for w in windows)
    joined = np.concatenate(list(join_windows(pieces, fade_logits)))
    assert len(joined) <= num_frames
    assert len(joined) >= min(num_frames, GRID.num_frames(round(WINDOW_S * GRID.sample_rate)))
    np.testing.assert_allclose(joined[:, 0], np.arange(len(joined)), rtol=1e-5)
    assert all(window.start_s + WINDOW_S <= duration_s + GRID.hop_s for window in windows[1:])


def test_a_short_file_is_one_window() -> None:
    assert cut_windows(WINDOW_S, WINDOW_S, GRID) == [Window(0.0, 0, 250)]
    assert cut_windows(1.0, WINDOW_S, GRID) == [Window(0.0, 0, 25)]


def test_where_windows_overlap() -> None:
    first, second = cut_windows(18.0, WINDOW_S, GRID)
    assert (first.start_s, second.start_s) == (0.0, 8.0)
    assert (first.fade_out, second.fade_in) == (50, 50)  # a fifth of 250 frames


@pytest.mark.parametrize("hop_s", [4.9, 10.1, 0.0, -1.0])
def test_hops_that_are_not_allowed(hop_s: float) -> None:
    with pytest.raises(ConfigError, match="is not allowed: 5 to 10 s"):
        cut_windows(30.0, WINDOW_S, GRID, hop_s)


def test_windows_of_many_clips() -> None:
    durations_s = np.array([3.0, 25.0, 3.0, 10.0])
    windows = ClipWindows(durations_s, WINDOW_S, GRID)
    expected = [(clip, w) for clip, s in enumerate(durations_s) for w in cut_windows(float(s), WINDOW_S, GRID)]
    assert [windows[index] for index in range(len(windows))] == expected
    assert [list(windows.numbers(clip)) for clip in range(4)] == [[0], [1, 2, 3], [4], [5]]
    with pytest.raises(IndexError):
        windows[len(windows)]


def test_fading_is_from_one_to_the_other() -> None:
    share = np.array([[0.0], [0.5], [1.0]])
    before, after = np.full((3, 1), 0.9), np.full((3, 1), 0.1)
    np.testing.assert_allclose(fade_scores(before, after, share)[:, 0], [0.9, 0.5, 0.1], atol=1e-6)
    assert np.isfinite(fade_scores(np.ones((3, 1)), np.zeros((3, 1)), share)).all()
