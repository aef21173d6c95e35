"""Median over a window of frames, one window for all classes or one a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from efficient_sed.config.data import MAX_MEDIAN_FRAMES
from efficient_sed.machine.compile import is_worth_compiling
from efficient_sed.postprocessing.contract import Method, Value
from efficient_sed.postprocessing.events import compilable
from efficient_sed.registry import POSTPROCESSING

WINDOWS_S = (
    0.04, 0.12, 0.2, 0.28, 0.36, 0.44, 0.52, 0.6, 0.68, 0.84, 1.0, 1.24, 1.48, 1.72, 2.04, 2.44, 2.92, 3.48, 4.2, 5.0,
)  # fmt: skip
"""Candidates in seconds; a window has the nearest odd number of frames."""

PLAIN_S = 10e-9  # a score of each window, by NumPy


@POSTPROCESSING.register("median")
@dataclass(frozen=True)
class Median(Method):
    """Median filter, borders reflected with the edge frame repeated."""

    window: Value = 1
    """Frames, odd; 1 for no filter."""

    def __post_init__(self) -> None:
        allowed = f"an odd number of frames, at most {MAX_MEDIAN_FRAMES}, 1 for no filter"
        self.require_each("window", lambda window: 1 <= window <= MAX_MEDIAN_FRAMES and window % 2 == 1, allowed)

    def apply(self, scores: np.ndarray, hop_s: float) -> np.ndarray:
        """As `Method.apply`."""
        windows = self.by_class("window", scores.shape[1], np.int64)
        if (windows == windows[0]).all():
            return smooth_scores(scores, int(windows[0]))
        smoothed = np.empty_like(scores)
        for window in np.unique(windows):
            columns = np.flatnonzero(windows == window)
            smoothed[:, columns] = smooth_scores(scores[:, columns], int(window))
        return smoothed

    def look_ahead_s(self, hop_s: float) -> float:
        """As `Method.look_ahead_s`: half the longest window."""
        longest = max(self.window) if isinstance(self.window, tuple) else self.window
        return int(longest) // 2 * hop_s

    @classmethod
    def grid(cls, hop_s: float) -> list[Self]:
        """As `Method.grid`."""
        return [cls(window) for window in sorted({1 + 2 * round((seconds / hop_s - 1) / 2) for seconds in WINDOWS_S})]


def smooth_scores(scores: np.ndarray, median_frames: int) -> np.ndarray:
    """Median over a window of frames, for scores (frames, classes) without NaN.

    Borders are reflected, the edge frame repeated.

    An even window reaches one frame further back than ahead and takes the higher of its two middle scores, as scipy's
    filter does.
    """
    if median_frames == 1:
        return scores
    half = median_frames // 2
    rows = np.pad(np.arange(len(scores)), (half, median_frames - 1 - half), mode="symmetric")
    if not is_worth_compiling(PLAIN_S * scores.size * median_frames):
        windows = np.lib.stride_tricks.sliding_window_view(scores[rows], median_frames, axis=0)
        return np.ascontiguousarray(np.partition(windows, half, axis=-1)[..., half])
    from efficient_sed.postprocessing._median import sliding_median

    return np.asarray(sliding_median(compilable(scores), rows, median_frames)).astype(scores.dtype, copy=False)
