"""Loops of hysteresis, shortest event and largest gap on the scores of one class."""

from __future__ import annotations

import numpy as np

from efficient_sed.machine.compile import CompiledLater


@CompiledLater
def apply_hysteresis(scores: np.ndarray, low: np.ndarray, gaps: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The binary operations at all thresholds at once: reconstruction, flat closing, flat opening.

    Args:
        scores: Shape (classes, frames).
        low: Share of the threshold at which an event goes on, of each class.
        gaps: Frames of the largest gap that is joined, of each class.
        lengths: Frames of the shortest event, of each class, at least 1.

    Returns:
        Shape (classes, frames).
    """
    num_classes, num_frames = scores.shape
    results = np.empty_like(scores)
    outside = scores.dtype.type(0)
    for column in range(num_classes):
        row = results[column]
        row[:] = scores[column]
        if low[column] < 1:
            reached = outside
            for frame in range(num_frames):  # the best start before
                share = scores[column, frame] / low[column]
                reached = max(min(reached, share), scores[column, frame])
                row[frame] = reached
            reached = outside
            for frame in range(num_frames - 1, -1, -1):  # the best start behind
                share = scores[column, frame] / low[column]
                reached = max(min(reached, share), scores[column, frame])
                row[frame] = max(row[frame], reached)
        if gaps[column] > 0:
            padded = np.full(num_frames + 2 * gaps[column], outside, scores.dtype)
            padded[gaps[column] : gaps[column] + num_frames] = row
            row[:] = -_sliding_max(-_sliding_max(padded, gaps[column] + 1), gaps[column] + 1)
        if lengths[column] > num_frames:
            row[:] = outside
        elif lengths[column] > 1:
            padded = np.full(num_frames + 2 * (lengths[column] - 1), outside, scores.dtype)
            padded[lengths[column] - 1 : lengths[column] - 1 + num_frames] = row
            row[:] = _sliding_max(-_sliding_max(-padded, lengths[column]), lengths[column])
    return results


@CompiledLater
def _sliding_max(values: np.ndarray, window: int) -> np.ndarray:
    """Largest value in each whole window (van Herk, 1992): maxima from the begin of blocks and from their end."""
    length = len(values)
    from_begin, from_end = values.copy(), values.copy()
    for k in range(1, length):
        if k % window:
            from_begin[k] = max(from_begin[k], from_begin[k - 1])
    for k in range(length - 2, -1, -1):
        if (k + 1) % window:
            from_end[k] = max(from_end[k], from_end[k + 1])
    largest = np.empty(length - window + 1, values.dtype)
    for k in range(len(largest)):
        largest[k] = max(from_end[k], from_begin[k + window - 1])
    return largest
