"""Segment-based AUROC and F1: does a class sound somewhere in a second?

McClish, "Analyzing a portion of the ROC curve", 1989 (https://doi.org/10.1177/0272989X8900900307), not standardised;
values equal those of sed_scores_eval's segment_based.auroc.
"""

from __future__ import annotations

import math

import numpy as np

from efficient_sed.metrics.thresholds import THRESHOLD

SEGMENT_S = 1.0


def partial_auroc(positives: np.ndarray, negatives: np.ndarray, max_fpr: float) -> float:
    """Area under the staircase of true over false positive rate up to `max_fpr`, as a share of the most there can be.

    Each of the highest negatives makes a step to the right, at the height of the positives above it; equal scores come
    together, so that a positive does not stand above a negative of its score.
    """
    room = max_fpr * len(negatives)
    num_steps = min(len(negatives), math.ceil(room))
    highest = np.sort(np.partition(negatives, len(negatives) - num_steps)[len(negatives) - num_steps :])[::-1]
    heights = len(positives) - np.searchsorted(np.sort(positives), highest, side="right")
    widths = np.minimum(room - np.arange(num_steps), 1.0)
    return float(heights @ widths / (room * len(positives)))


def best_threshold(scores: np.ndarray, targets: np.ndarray) -> tuple[float, int, int]:
    """The threshold with the highest F1, the higher of equals, midway between neighbouring scores.

    Args:
        scores: Of segments in [0, 1], single precision; those of 0 are reached by no threshold.
        targets: Whether the class sounds in each.

    Returns:
        Threshold, segments that are rightly detected at it, and detected ones. 0.5 where no threshold finds anything.
    """
    reached = np.flatnonzero(scores > 0)
    order = reached[np.argsort(-scores[reached], kind="stable")]
    levels = np.append(scores[order], np.float32(0.0))
    is_last = levels[:-1] > levels[1:]
    hits, detected = np.cumsum(targets[order])[is_last], np.flatnonzero(is_last) + 1
    if not hits.any():
        return THRESHOLD, 0, int((scores >= THRESHOLD).sum())
    best = int(np.argmax(2 * hits / (targets.sum() + detected)))
    upper, lower = levels[:-1][is_last][best], levels[1:][is_last][best]
    middle = np.float32((np.float64(upper) + np.float64(lower)) / 2)
    return float(middle if middle > lower else upper), int(hits[best]), int(detected[best])
