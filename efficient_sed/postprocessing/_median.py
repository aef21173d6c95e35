"""The loop of the median filter, compiled by numba; importing this file starts that, so do it where it is used."""

from __future__ import annotations

import numpy as np

from efficient_sed.machine.compile import compiled

BLOCK = 128  # classes at a time: their windows stay in the cache


@compiled
def sliding_median(scores: np.ndarray, rows: np.ndarray, window: int) -> np.ndarray:
    """Element `window // 2` of the ascending scores in each window of `rows`.

    The window is kept in order: the score that leaves is closed up, the one that enters sinks to its place by pairs of
    minimum and maximum. This takes as many steps as the window is long, but none branches, and classes go side by side
    through the vector unit.

    Args:
        scores: Shape (frames, classes).
        rows: Numbers of frames, at least `window` of them.
        window: Frames under the filter.

    Returns:
        Shape (rows - window + 1, classes).
    """
    num_classes = scores.shape[1]
    medians = np.empty((len(rows) - window + 1, num_classes), scores.dtype)
    for start in range(0, num_classes, BLOCK):
        width = min(BLOCK, num_classes - start)
        ordered = np.full((window + 1, width), np.inf, scores.dtype)  # the last row moves up where a score leaves
        entering = np.empty(width, scores.dtype)
        leaving = np.full(width, np.inf, scores.dtype)
        for row in range(len(rows)):
            entering[:] = scores[rows[row], start : start + width]
            if row >= window:
                leaving[:] = scores[rows[row - window], start : start + width]
            for k in range(window):
                here, above = ordered[k], ordered[k + 1]
                for column in range(width):
                    kept = here[column] if here[column] < leaving[column] else above[column]
                    smaller = kept < entering[column]
                    here[column], entering[column] = (
                        (kept if smaller else entering[column]),
                        (entering[column] if smaller else kept),
                    )
            if row >= window - 1:
                medians[row - window + 1, start : start + width] = ordered[window // 2]
    return medians
