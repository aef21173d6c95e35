"""Cutting a file into overlapping windows of one length, and joining their scores.

Where two windows overlap, their logits are cross-faded, so that a border leaves no step in the scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, overload

import numpy as np

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.errors import ConfigError

OVERLAP = 0.2  # of a window: two seconds of ten


class Window(NamedTuple):
    """An excerpt that goes through the model, and the part of its scores that is used.

    Attributes:
        start_s: Begin of the excerpt; a whole frame.
        first: First used frame, counted in the excerpt.
        last: Frame after the last used one.
        fade_in: Frames from `first` on that are shared with the window before.
        fade_out: Frames before `last` that are shared with the window after.
    """

    start_s: float
    first: int
    last: int
    fade_in: int = 0
    fade_out: int = 0


def cut_windows(duration_s: float, window_s: float, grid: FrameGrid, hop_s: float | None = None) -> list[Window]:
    """Windows that cover a file; the last one ends with the file.

    Args:
        duration_s: Length of the file, in seconds.
        window_s: Length of a window, in seconds.
        grid: Frames of the model.
        hop_s: Seconds from one window's begin to the next one's, half a window to a whole one; default None, 4/5 of it.

    Raises:
        ConfigError: If a window is too short for a frame, or the hop is not allowed.
    """
    total = max(1, math.ceil(round(duration_s / grid.hop_s, 6)))
    given = grid.num_frames(round(window_s * grid.sample_rate))
    size = min(given, int(round(window_s / grid.hop_s, 6)))
    if given < 1 or (size < 1 and duration_s > window_s):
        raise ConfigError(
            f"windows of {window_s:g} s are too short for a model with a frame each {grid.hop_s:g} s; give longer ones "
            "as data.clip_seconds=SECONDS"
        )
    if hop_s is not None and not window_s / 2 <= hop_s <= window_s:
        raise ConfigError(
            f"hop_s={hop_s:g} is not allowed: {window_s / 2:g} to {window_s:g} s, half the window that the model was "
            "trained on to the whole one"
        )
    if round(duration_s - window_s, 6) <= 0:
        return [Window(0.0, 0, min(given, total))]
    wanted = size - math.floor(OVERLAP * size) if hop_s is None else round(hop_s / grid.hop_s)
    hop = min(size, max(math.ceil(size / 2), wanted))
    starts = [*range(0, total - size, hop), total - size]
    ends = [0, *(start + size for start in starts)]  # where the window before each ends, and the last one
    windows = []
    for index, start in enumerate(starts):
        # behind the window before the last, which the last may reach
        begin = max(start, ends[index - 1] if index else 0)
        following = max(starts[index + 1], ends[index]) if index + 1 < len(starts) else start + size
        fade_in, fade_out = max(0, ends[index] - begin), max(0, start + size - following)
        windows.append(Window(start * grid.hop_s, begin - start, size, fade_in, fade_out))
    return windows


class ClipWindows(Sequence[tuple[int, Window]]):
    """The windows of many clips one after another, as (number of the clip, window).

    They are made on access: those of two million clips would take 500 MB.

    Args:
        durations_s: Of the clips, shape (clips,).
    """

    def __init__(self, durations_s: np.ndarray, window_s: float, grid: FrameGrid) -> None:
        self._durations_s, self._window_s, self._grid = durations_s, window_s, grid
        self._last: tuple[float, list[Window]] = (0.0, [])
        lengths, which = np.unique(durations_s, return_inverse=True)
        counts = np.array(
            [len(cut_windows(float(duration_s), window_s, grid)) for duration_s in lengths], dtype=np.int64
        )[which]
        self._first = np.concatenate([[0], np.cumsum(counts)])

    def __len__(self) -> int:
        return int(self._first[-1])

    @overload
    def __getitem__(self, index: int) -> tuple[int, Window]: ...
    @overload
    def __getitem__(self, index: slice) -> list[tuple[int, Window]]: ...
    def __getitem__(self, index: int | slice) -> tuple[int, Window] | list[tuple[int, Window]]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        clip = int(np.searchsorted(self._first, index, side="right")) - 1
        return clip, self._of_clip(clip)[index - int(self._first[clip])]

    def numbers(self, clip: int) -> range:
        """Which windows are a clip's."""
        return range(int(self._first[clip]), int(self._first[clip + 1]))

    def _of_clip(self, clip: int) -> list[Window]:
        duration_s = float(self._durations_s[clip])
        last = self._last  # most clips are as long as the one before; read once, for threads
        if last[0] != duration_s:
            last = self._last = duration_s, cut_windows(duration_s, self._window_s, self._grid)
        return last[1]


def fade_logits(before: np.ndarray, after: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Cross-fade logits.

    Args:
        before: Logits of the earlier window, shape (frames, classes).
        after: Those of the later window, same shape.
        share: Weight of the later window in [0, 1], shape (frames, 1).
    """
    mixed: np.ndarray = (1 - share) * before.astype(np.float32) + share * after.astype(np.float32)
    return mixed.astype(before.dtype)


def fade_scores(before: np.ndarray, after: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Cross-fade probabilities: their logits are mixed; see `fade_logits`."""
    tiny = np.finfo(np.float32).tiny
    own, other = (
        np.log(np.maximum(scores, tiny)) - np.log(np.maximum(1 - scores, tiny))
        for scores in (before.astype(np.float64), after.astype(np.float64))
    )
    mixed: np.ndarray = 1 / (1 + np.exp(-fade_logits(own, other, share)))
    return mixed.astype(before.dtype)


def join_windows(
    pieces: Iterable[tuple[Window, np.ndarray]],
    fade: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray] = fade_scores,
) -> Iterator[np.ndarray]:
    """Join the scores of a file's windows, each piece as soon as no later window reaches it.

    Args:
        pieces: Windows in order, with their scores, shape (frames, classes).
        fade: Mixes the scores of two windows where they overlap.

    Returns:
        Consecutive scores of the file, shape (frames, classes).
    """
    shared = None
    for window, scores in pieces:
        own = scores[window.first : window.last]
        if window.fade_in and shared is not None:
            share = ((np.arange(window.fade_in, dtype=np.float32) + 0.5) / window.fade_in)[:, None]
            own = np.concatenate([fade(shared, own[: window.fade_in], share), own[window.fade_in :]])
        kept = len(own) - window.fade_out
        yield own[:kept]
        shared = own[kept:]
