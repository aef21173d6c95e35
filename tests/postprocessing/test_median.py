"""Streaming equals offline, and both equal what a slow, obvious loop does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import median_filter

from efficient_sed.audio.frontends.mel40 import ANALYSES, Mel40
from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.events import Event
from efficient_sed.data.windows import Window, cut_windows, fade_logits, fade_scores, join_windows
from efficient_sed.errors import ConfigError
from efficient_sed.postprocessing.contract import Chain
from efficient_sed.postprocessing.events import decode_events, decode_stream, decode_thresholds
from efficient_sed.postprocessing.median import Median, smooth_scores
from efficient_sed.postprocessing.stream import smooth_stream
from efficient_sed.registry import BACKBONES

GRID = FrameGrid()
CLASSES = ["dog", "siren", "speech"]


@st.composite
def chunked_scores(draw: st.DrawFn) -> tuple[np.ndarray, list[np.ndarray]]:
    """Scores (frames, 3) on a coarse scale, so that ties and the threshold itself occur, and consecutive pieces."""
    length = draw(st.integers(1, 80))
    values = draw(st.lists(st.integers(0, 4), min_size=3 * length, max_size=3 * length))
    scores = (np.array(values, dtype=np.float32) / 4).reshape(length, 3)
    cuts = sorted(draw(st.lists(st.integers(0, length), max_size=10)))
    return scores, [piece for piece in np.split(scores, cuts) if len(piece)]


def in_pieces(pieces: Iterable[np.ndarray], median_frames: int) -> Iterator[np.ndarray]:
    return smooth_stream(pieces, Chain((Median(median_frames),)), GRID.hop_s)


def smooth_slowly(scores: np.ndarray, median_frames: int) -> np.ndarray:
    half, length = median_frames // 2, len(scores)
    mirror = np.concatenate([np.arange(length), np.arange(length)[::-1]])  # 0 1 2 2 1 0 0 1 2 …
    return np.stack(
        [
            np.median(scores[[mirror[k % (2 * length)] for k in range(t - half, t + half + 1)]], axis=0)
            for t in range(length)
        ]
    )


def decode_slowly(scores: np.ndarray, threshold: float, duration_s: float) -> list[Event]:
    events = []
    for index, label in enumerate(CLASSES):
        run: list[int] = []
        for frame in range(len(scores) + 1):
            if frame < len(scores) and scores[frame, index] >= threshold:
                run.append(frame)
            elif run:
                offset_s = min(round(0.04 * (run[-1] + 1), 6), duration_s)
                events.append(Event(round(0.04 * run[0], 6), round(offset_s, 6), label, float(max(scores[run, index]))))
                run = []
    return sorted(events)


@given(chunked_scores(), st.sampled_from([1, 3, 5, 9, 21, 101]))
def test_smoothing_in_pieces(chunked: tuple[np.ndarray, list[np.ndarray]], median_frames: int) -> None:
    scores, pieces = chunked
    offline = smooth_scores(scores, median_frames)
    np.testing.assert_array_equal(np.concatenate(list(in_pieces(pieces, median_frames))), offline)
    np.testing.assert_array_equal(offline, smooth_slowly(scores, median_frames))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("window", [1, 2, 3, 6, 9, 31, 100])
def test_smoothing_equals_scipys_filter(dtype: type, window: int) -> None:
    """Bit by bit, with ties, odd and even windows, more classes than go side by side, and rows that lie apart."""
    rng = np.random.default_rng(window)
    for scores in (rng.random((120, 150)), rng.integers(0, 4, (101, 5)) / 4, rng.standard_normal((130, 200)).T[:, ::3]):
        given_in = scores.astype(dtype)
        smoothed = smooth_scores(given_in, window)
        assert smoothed.dtype == dtype
        np.testing.assert_array_equal(
            smoothed, median_filter(given_in.astype(np.float64), size=(window, 1)).astype(dtype)
        )
        np.testing.assert_array_equal(given_in, scores.astype(dtype))


def test_smoothing_keeps_infinite_scores() -> None:
    scores = np.array([[np.inf, -np.inf], [np.inf, 0], [0, -np.inf], [-np.inf, 1]])
    np.testing.assert_array_equal(
        smooth_scores(scores, 3), [[np.inf, -np.inf], [np.inf, -np.inf], [0, 0], [-np.inf, 1]]
    )


@given(
    chunked_scores(),
    st.lists(st.sampled_from([0.0, 0.25, 0.3, 0.5, 0.75, 1.0]), min_size=1, max_size=5),
    st.sampled_from([np.float16, np.float32, np.float64]),
)
def test_decoding_many_thresholds(
    chunked: tuple[np.ndarray, list[np.ndarray]], thresholds: list[float], dtype: type
) -> None:
    scores, duration_s = chunked[0].astype(dtype), len(chunked[0]) * GRID.hop_s
    found = decode_thresholds(scores, CLASSES, GRID, thresholds, duration_s)
    assert found == {threshold: decode_slowly(scores, threshold, duration_s) for threshold in sorted(set(thresholds))}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_score_reaches_the_threshold_it_stands_for(dtype: type) -> None:
    """Half and single precision hold 0.7 as a smaller number, and 0.1 as a larger one."""
    scores = np.array([[0.1, 0.7, 0.6]], dtype=dtype)
    found = decode_thresholds(scores, CLASSES, GRID, [0.1, 0.7], 0.04)
    assert {threshold: [event.label for event in events] for threshold, events in found.items()} == {
        0.1: CLASSES,
        0.7: ["siren"],
    }


@given(chunked_scores(), st.sampled_from([0.25, 0.5, 0.6, 1.0]), st.floats(0, 0.0399))
def test_decoding_in_pieces(chunked: tuple[np.ndarray, list[np.ndarray]], threshold: float, missing_s: float) -> None:
    scores, pieces = chunked
    duration_s = len(scores) * GRID.hop_s - missing_s
    offline = decode_events(scores, CLASSES, GRID, threshold, duration_s)
    assert offline == decode_slowly(scores, threshold, duration_s)
    streamed = list(decode_stream(pieces, CLASSES, GRID, threshold, duration_s))
    assert sorted(streamed) == offline
    assert [event.offset_s for event in streamed] == sorted(event.offset_s for event in streamed)


@given(chunked_scores(), st.sampled_from([1, 3, 9]))
def test_whole_chain_in_pieces(chunked: tuple[np.ndarray, list[np.ndarray]], median_frames: int) -> None:
    scores, pieces = chunked
    duration_s = len(scores) * GRID.hop_s
    offline = decode_events(smooth_scores(scores, median_frames), CLASSES, GRID, 0.5, duration_s)
    assert sorted(decode_stream(in_pieces(pieces, median_frames), CLASSES, GRID, 0.5, duration_s)) == offline


def test_events_are_given_out_when_they_have_ended() -> None:
    pieces = [np.full((5, 1), value, dtype=np.float32) for value in (0.9, 0.8, 0.1, 0.1)]
    consumed = []
    events = decode_stream((consumed.append(k) or piece for k, piece in enumerate(pieces)), ["dog"], GRID, 0.5, 0.8)
    assert next(events) == Event(0.0, 0.4, "dog", float(np.float32(0.9)))
    assert consumed == [0, 1, 2]


@pytest.mark.parametrize(("median_frames", "size"), [(1, 10), (9, 1), (61, 50)])
def test_smoothing_holds_back_half_a_window(median_frames: int, size: int) -> None:
    scores, taken = np.random.default_rng(0).random((1000, 2), dtype=np.float32), 0
    given_out: list[np.ndarray] = []

    def pieces() -> Iterator[np.ndarray]:
        nonlocal taken
        for piece in np.split(scores, 1000 // size):
            assert sum(map(len, given_out)) >= taken - median_frames // 2
            taken += size
            yield piece

    for piece in in_pieces(pieces(), median_frames):
        given_out.append(piece)  # noqa: PERF402 (the pieces look at it)
    np.testing.assert_array_equal(np.concatenate(given_out), smooth_scores(scores, median_frames))


GRIDS = [GRID, *(Mel40(name).grid(1) for name in ANALYSES)]


@given(
    st.floats(1e-4, 200), st.integers(1, 30) | st.floats(1, 30), st.sampled_from(GRIDS), st.none() | st.floats(0.5, 1)
)
def test_windows_cover_each_frame(duration_s: float, window_s: float, grid: FrameGrid, hop: float | None) -> None:
    """Scores that depend on the frame alone come out as they are, in one piece a window, whatever overlaps."""
    windows, size = (
        cut_windows(duration_s, window_s, grid, hop and hop * window_s),
        grid.num_frames(round(window_s * grid.sample_rate)),
    )
    total = max(1, grid.offset_frame(duration_s))
    scores = np.random.default_rng(0).random((total + size, 2), dtype=np.float32)
    starts = [round(window.start_s / grid.hop_s) for window in windows]
    pieces = list(
        join_windows((window, scores[start : start + size]) for window, start in zip(windows, starts, strict=True))
    )
    kept = (
        min(total, size) if round(duration_s - window_s, 6) <= 0 else total
    )  # a last frame that a whole excerpt does not fill is not given
    assert len(pieces) == len(windows)
    np.testing.assert_allclose(np.concatenate(pieces), scores[:kept], atol=1e-5)
    for window in windows:
        assert 0 <= window.first < window.last <= size  # as many as the model gives
        assert window.start_s < duration_s
        assert window.start_s == pytest.approx(grid.hop_s * round(window.start_s / grid.hop_s), abs=1e-9)


@pytest.mark.parametrize("fade", [fade_scores, fade_logits])
def test_what_overlaps_is_faded_from_one_window_to_the_next(fade: Callable[..., np.ndarray]) -> None:
    """A quarter of the way through the shared frames, the logit is three quarters that of the first window."""
    windows = cut_windows(18.0, 10.0, GRID)
    assert windows == [Window(0.0, 0, 250, 0, 50), Window(8.0, 0, 250, 50, 0)]
    logits = np.float32([-2.0, 4.0])
    values = 1 / (1 + np.exp(-logits)) if fade is fade_scores else logits
    joined = np.concatenate(
        list(
            join_windows(
                ((window, np.full((250, 1), value)) for window, value in zip(windows, values, strict=True)), fade
            )
        )
    )[:, 0]
    found = np.log(joined / (1 - joined)) if fade is fade_scores else joined
    np.testing.assert_allclose(found[[0, 199, 212, 249, 250]], [-2, -2, -2 + 6 * 0.25, -2 + 6 * 0.99, 4], rtol=1e-3)
    assert joined.dtype == np.float32


def test_certain_scores_are_faded_without_harm() -> None:
    ends = np.float32([[0.0], [1.0], [0.0], [1.0]])
    faded = fade_scores(ends, ends[[0, 1, 3, 2]], np.full((4, 1), 0.5, np.float32))
    np.testing.assert_allclose(faded[:, 0], [0, 1, 0.5, 0.5], atol=1e-6)


@pytest.mark.parametrize("hop_s", [4.9, 10.1, 0.0, -1.0, float("nan")])
def test_hops_that_are_not_allowed(hop_s: float) -> None:
    with pytest.raises(
        ConfigError,
        match=rf"^hop_s={hop_s:g} is not allowed: 5 to 10 s, "
        "half the window that the model was trained on to the whole one$",
    ):
        cut_windows(60.0, 10.0, GRID, hop_s)


@pytest.mark.parametrize("name", BACKBONES.names())
def test_a_clip_as_long_as_a_window_is_scored_as_a_whole(name: str) -> None:
    """Whatever the frames: a second window, mostly silence, would have its say in the clip's logits."""
    config = BACKBONES.get(name)()
    with torch.device("meta"):
        built = config.build()
    grid = config.build_frontend().grid(built.time_stride, built.first_step_frames)
    for seconds in (3.0, 4.0, 5.0, 10.0):
        (window,) = cut_windows(seconds, seconds, grid)
        assert (window.start_s, window.first) == (0, 0)
        assert 0 < window.last <= grid.num_frames(round(seconds * grid.sample_rate))


def test_windows_shorter_than_a_frame_are_refused() -> None:
    grid = FrameGrid(44_100, 345, 256)  # a frame lasts two seconds
    with pytest.raises(
        ConfigError,
        match=r"^windows of 1 s are too short for a model with a frame each 2\.00272 s; "
        r"give longer ones as data\.clip_seconds=SECONDS$",
    ):
        cut_windows(10.0, 1.0, grid)
    assert len(cut_windows(1.0, 1.0, grid)) == 1
