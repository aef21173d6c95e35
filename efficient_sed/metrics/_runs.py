"""Which runs of frames come and go as a threshold falls, compiled by numba."""

from __future__ import annotations

import numpy as np

from efficient_sed.machine.compile import compiled


@compiled
def run_changes(column: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Runs of a class that appear and disappear as the threshold falls; frames join, and runs merge.

    Neighbours of one score, common after a median filter, join together.

    Args:
        column: Scores of the frames, (frames,); those of 0 or less are reached by no threshold.

    Returns:
        Score, first frame, frame behind the last, and 1 or -1 for each run that comes or goes from thresholds of that
        score downwards; by descending score, and at each score those that go first.
    """
    T = len(column)
    starts = np.empty(T + 1, np.int64)  # of stretches with one score
    count = 0
    for t in range(T):
        if t == 0 or column[t] != column[t - 1]:
            starts[count] = t
            count += 1
    starts[count] = T
    values = column[starts[:count]]
    stretches = np.flatnonzero(values > 0)
    stretches = stretches[np.argsort(-values[stretches])]
    size = 2 * len(stretches)  # at most one comes with each stretch, and goes once
    scores, begins, ends = np.empty(size, column.dtype), np.empty(size, np.int64), np.empty(size, np.int64)
    changes = np.empty(size, np.int64)
    is_active = np.zeros(count + 2, np.bool_)  # by stretch + 1
    right = np.zeros(count + 1, np.int64)  # stretch behind the run that begins here
    left = np.zeros(count + 1, np.int64)  # first stretch of the run that ends before here
    is_known = np.zeros(count + 1, np.bool_)  # by first stretch: whether the run was there at a higher threshold
    filled = position = 0
    while position < len(stretches):
        first, value = position, values[stretches[position]]
        while position < len(stretches) and values[stretches[position]] == value:
            begin = stretches[position]
            end = begin + 1
            position += 1
            is_active[begin + 1] = True
            if is_active[end + 1]:
                if is_known[end]:
                    scores[filled], begins[filled], ends[filled] = value, starts[end], starts[right[end]]
                    changes[filled], is_known[end] = -1, False
                    filled += 1
                end = right[end]
            if is_active[begin]:
                own_end, begin = begin, left[begin]
                if is_known[begin]:
                    scores[filled], begins[filled], ends[filled] = value, starts[begin], starts[own_end]
                    changes[filled], is_known[begin] = -1, False
                    filled += 1
            right[begin], left[end] = end, begin
            stretches[position - 1] = begin
        for begin in stretches[first:position]:
            if not is_active[begin] and not is_known[begin]:  # else part of a longer run, or seen
                scores[filled], begins[filled], ends[filled] = value, starts[begin], starts[right[begin]]
                changes[filled], is_known[begin] = 1, True
                filled += 1
    return scores[:filled], begins[:filled], ends[:filled], changes[:filled]


@compiled
def sweep_without_events(
    scores: np.ndarray, first_event: np.ndarray, filled: int,
    out_class: np.ndarray, out_score: np.ndarray, out_hits: np.ndarray, out_detected: np.ndarray,
) -> int:  # fmt: skip
    """Append the entries of classes that a clip lacks: every run is a false alarm.

    One begins where the score rises above the frame before, and two become one at the lowest frame between them.

    Args:
        scores: Shape (frames, classes).
        first_event: Events of class c are first_event[c] to first_event[c + 1].
        filled: Entries that the `out_` arrays hold already; they have room for one a score.
        out_class: Class of each entry.
        out_score: Score from which it holds downwards.
        out_hits: Change of the events found.
        out_detected: Change of the events detected.

    Returns:
        How many entries the arrays hold now.
    """
    T, C = scores.shape
    is_absent = first_event[1:] == first_event[:-1]
    for t in range(T):
        for c in range(C):
            value = scores[t, c]
            is_rise = t == 0 or value > scores[t - 1, c]
            is_fall = t + 1 == T or not scores[t + 1, c] > value
            if is_rise == is_fall and value > 0 and is_absent[c]:
                out_class[filled], out_score[filled] = c, value
                out_hits[filled], out_detected[filled] = 0, 1 if is_rise else -1
                filled += 1
    return filled
