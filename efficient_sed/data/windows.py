"""How a file of any length is cut into windows of one length, and how their scores are put together again."""

from __future__ import annotations

import math
from typing import NamedTuple

from efficient_sed.audio.frontend import FrameGrid


class Window(NamedTuple):
    """An excerpt that goes through the model, and the part of its scores that is kept.

    Attributes:
        start_s: Begin of the excerpt; a whole second, hence a whole frame.
        first: First kept frame, counted in the excerpt.
        last: Frame after the last kept one.
    """

    start_s: int
    first: int
    last: int


def cut_windows(duration_s: float, window_s: int, grid: FrameGrid) -> list[Window]:
    """Windows whose kept parts cover the file once. Inner borders lie a second inside, so that a kept frame has context on both sides."""
    total = max(1, math.ceil(round(duration_s / grid.hop_s, 6)))
    size = round(window_s / grid.hop_s)
    margin_s = 1 if window_s >= 4 else 0
    margin, hop_s = round(margin_s / grid.hop_s), window_s - 2 * margin_s
    windows = [Window(0, 0, min(size, total))]
    while windows[-1].start_s * size // window_s + windows[-1].last < total:
        previous = windows.pop()
        windows.append(previous._replace(last=size - margin))
        start_s = previous.start_s + hop_s
        windows.append(Window(start_s, margin, min(size, total - round(start_s / grid.hop_s))))
    return windows
