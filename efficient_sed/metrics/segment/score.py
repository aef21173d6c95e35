"""Segment-based partial AUROC: does a class sound somewhere in a second, over all thresholds with few false alarms?

McClish, "Analyzing a portion of the ROC curve", 1989 (https://doi.org/10.1177/0272989X8900900307), not standardised;
values equal those of sed_scores_eval's segment_based.auroc.
"""

from __future__ import annotations

import math

import numpy as np

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
