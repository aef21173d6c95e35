"""Scores that no good threshold reaches, on a few levels; compiled by numba."""

from __future__ import annotations

import numpy as np

from efficient_sed.machine.compile import compiled


@compiled
def coarsen(scores: np.ndarray, floors: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Lower each score below the floor of its class to the highest level that it reaches; 0 for none.

    Counts stay what they are at every threshold from the floor up, and at every level.

    Args:
        scores: Shape (frames, classes).
        floors: Shape (classes,).
        levels: Ascending thresholds, (levels,).

    Returns:
        Shape (frames, classes), row by row.
    """
    T, C = scores.shape
    lowered = np.empty((T, C), np.float32)
    for t in range(T):
        for c in range(C):
            score = np.float32(scores[t, c])
            if score < floors[c]:
                reached = np.float32(0)
                for level in levels:
                    if score < level:
                        break
                    reached = level
                score = reached
            lowered[t, c] = score
    return lowered
