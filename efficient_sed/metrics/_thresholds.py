"""The best threshold of each class, and counts at any, from entries by descending score; compiled by numba."""

from __future__ import annotations

import numpy as np

from efficient_sed.machine.compile import compiled


@compiled
def group_by_class(
    classes: np.ndarray, scores: np.ndarray, clips: np.ndarray, hits: np.ndarray, detected: np.ndarray,
    place: np.ndarray, out_score: np.ndarray, out_clip: np.ndarray, out_hits: np.ndarray, out_detected: np.ndarray,
) -> None:  # fmt: skip
    """Write entries to the places from `place[class]` on, which counts up."""
    for entry in range(len(classes)):
        to = place[classes[entry]]
        out_score[to], out_clip[to], out_hits[to], out_detected[to] = (
            scores[entry], clips[entry], hits[entry], detected[entry],
        )  # fmt: skip
        place[classes[entry]] += 1


@compiled
def between(upper: float, lower: float) -> np.floating | float:
    """The number of single precision midway between two, above the lower one."""
    middle = np.float32((upper + lower) / 2)
    return middle if middle > lower else upper


@compiled
def best_thresholds(
    first_entry: np.ndarray, scores: np.ndarray, clips: np.ndarray, hits: np.ndarray, detected: np.ndarray,
    weights: np.ndarray, num_true: np.ndarray, thresholds: np.ndarray, best_hits: np.ndarray, best_detected: np.ndarray,
) -> None:  # fmt: skip
    """Write the threshold with the highest F1 of each class, the higher of equals, and its counts.

    Args:
        first_entry: Entries of class c, by descending score, are first_entry[c] to first_entry[c + 1].
        scores: Score from which each entry holds downwards.
        clips: Clip of each entry.
        hits: Change of the events found by it.
        detected: Change of the events detected by it.
        weights: How often each clip counts; its entries move no threshold where that is 0.
        num_true: Events of each class in these clips.
        thresholds: Written over, but for classes of which no threshold finds anything.
        best_hits: Written over likewise.
        best_detected: Written over likewise.
    """
    for c in range(len(num_true)):
        best = found = raised = 0.0
        value = np.inf
        for entry in range(first_entry[c], first_entry[c + 1] + 1):
            is_end = entry == first_entry[c + 1]
            if not is_end and weights[clips[entry]] == 0:
                continue
            following = 0.0 if is_end else np.float64(scores[entry])
            if following < value:
                if found > 0 and 2 * found / (num_true[c] + raised) > best:
                    best = 2 * found / (num_true[c] + raised)
                    thresholds[c] = between(value, following)
                    best_hits[c], best_detected[c] = found, raised
                value = following
            if not is_end:
                found += weights[clips[entry]] * hits[entry]
                raised += weights[clips[entry]] * detected[entry]


@compiled
def counts_at(
    first_entry: np.ndarray, scores: np.ndarray, clips: np.ndarray, hits: np.ndarray, detected: np.ndarray,
    weights: np.ndarray, levels: np.ndarray, out_hits: np.ndarray, out_detected: np.ndarray,
) -> None:  # fmt: skip
    """Write what each class finds and detects at several thresholds of its own.

    Args:
        first_entry: Entries of class c, by descending score, are first_entry[c] to first_entry[c + 1].
        scores: Score from which each entry holds downwards.
        clips: Clip of each entry.
        hits: Change of the events found by it.
        detected: Change of the events detected by it.
        weights: How often each clip counts.
        levels: Thresholds from the highest down, shape (levels, classes).
        out_hits: Shape (levels, classes), written over.
        out_detected: Likewise.
    """
    for c in range(levels.shape[1]):
        found = raised = 0.0
        entry = first_entry[c]
        for level in range(len(levels)):
            while entry < first_entry[c + 1] and scores[entry] >= levels[level, c]:
                found += weights[clips[entry]] * hits[entry]
                raised += weights[clips[entry]] * detected[entry]
                entry += 1
            out_hits[level, c], out_detected[level, c] = found, raised
