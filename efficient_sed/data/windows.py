"""How a file of any length is cut into windows of one length, and how their scores are put together again."""

from __future__ import annotations

import math
from typing import NamedTuple

from efficient_sed.audio.frontend import FrameGrid


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
    """Windows whose kept parts cover the file once. Inner borders lie a second inside, so that a kept frame has context on both sides."""
    total = max(1, math.ceil(round(duration_s / grid.hop_s, 6)))
    size = int(round(window_s / grid.hop_s, 6))
    margin = round(1 / grid.hop_s) if window_s >= 4 else 0
    windows, start = [Window(0.0, 0, min(size, total))], 0
    while start + windows[-1].last < total:
        windows[-1] = windows[-1]._replace(last=size - margin)
        start += size - 2 * margin
        windows.append(Window(start * grid.hop_s, margin, min(size, total - start)))
    return windows
