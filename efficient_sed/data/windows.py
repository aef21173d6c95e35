"""How a file of any length is cut into windows of one length, and how their scores are put together again."""

from __future__ import annotations

import math
from typing import NamedTuple

from efficient_sed.audio.frontend import FrameGrid
from efficient_sed.errors import ConfigError


class Window(NamedTuple):
    """An excerpt that goes through the model, and the part of its scores that is kept.

    Attributes:
        start_s: Begin of the excerpt; a whole frame.
        first: First kept frame, counted in the excerpt.
        last: Frame after the last kept one.
    """

    start_s: float
    first: int
    last: int


def cut_windows(duration_s: float, window_s: float, grid: FrameGrid) -> list[Window]:
    """Windows whose kept parts cover the file once; a file that is no longer than a window is scored as a whole.

    Inner borders lie a second inside, so that a kept frame has context on both sides.

    Raises:
        ConfigError: If a window is too short for a frame.
    """
    total = max(1, math.ceil(round(duration_s / grid.hop_s, 6)))
    given, size = grid.num_frames(round(window_s * grid.sample_rate)), int(round(window_s / grid.hop_s, 6))
    if given < 1 or (size < 1 and duration_s > window_s):
        raise ConfigError(f"windows of {window_s:g} s are too short for a model with a frame each {grid.hop_s:g} s; give longer ones as data.clip_seconds=SECONDS")
    if round(duration_s - window_s, 6) <= 0:
        return [Window(0.0, 0, min(given, total))]
    margin = min(round(1 / grid.hop_s), (size - 1) // 2) if window_s >= 4 else 0
    windows, start = [Window(0.0, 0, min(size, total))], 0
    while start + windows[-1].last < total:
        windows[-1] = windows[-1]._replace(last=size - margin)
        start += size - 2 * margin
        windows.append(Window(start * grid.hop_s, margin, min(size, total - start)))
    return windows
