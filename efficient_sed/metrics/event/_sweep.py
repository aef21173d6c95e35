"""What a clip adds to the counts behind F1 of events at every threshold, compiled by numba.

A threshold makes the frames with at least that score active, and runs of them detections. As it falls from the highest
score, frames join and runs merge. Every change of the counts is an entry (class, score, change of hits, change of
detections) that takes effect from thresholds of that score downwards; sums over entries are counts of a data set.
"""

from __future__ import annotations

import numpy as np

from efficient_sed.machine.compile import compiled

MICROSECONDS = 1e6  # distances are rounded to them before a comparison, as in sed_scores_eval: exactly a collar counts


@compiled
def sweep_clip(
    scores: np.ndarray, borders: np.ndarray, first_event: np.ndarray, onsets: np.ndarray, offsets: np.ndarray,
    collar_s: float, tolerances: np.ndarray, filled: int,
    out_class: np.ndarray, out_score: np.ndarray, out_hits: np.ndarray, out_detected: np.ndarray,
) -> int:  # fmt: skip
    """Append a clip's entries; scores of 0 or less are reached by no threshold.

    Args:
        scores: Shape (frames, classes).
        borders: Times of the frames' borders, (frames + 1,).
        first_event: Events of class c are first_event[c] to first_event[c + 1] in `onsets` and `offsets`.
        onsets: Of events in seconds.
        offsets: Of events in seconds.
        collar_s: By how much an onset may be off.
        tolerances: By how much the offset of each event may be off.
        filled: Entries that the `out_` arrays hold already; they have room for one a score.
        out_class: Class of each entry.
        out_score: Score from which it holds downwards.
        out_hits: Change of the events found.
        out_detected: Change of the events detected.

    Returns:
        How many entries the arrays hold now.
    """
    T, C = scores.shape
    filled = sweep_without_events(scores, first_event, filled, out_class, out_score, out_hits, out_detected)
    column = np.zeros(T + 1, scores.dtype)
    for c in range(C):
        first, last = first_event[c], first_event[c + 1]
        if first == last:
            continue
        for t in range(T):
            column[t] = scores[t, c]
        before = filled
        filled = _sweep_class(
            column, borders, onsets[first:last], offsets[first:last], collar_s, tolerances[first:last], filled,
            out_score, out_hits, out_detected,
        )  # fmt: skip
        out_class[before:filled] = c
    return filled


@compiled
def sweep_without_events(
    scores: np.ndarray, first_event: np.ndarray, filled: int,
    out_class: np.ndarray, out_score: np.ndarray, out_hits: np.ndarray, out_detected: np.ndarray,
) -> int:  # fmt: skip
    """Append the entries of classes that a clip lacks: every run is a false alarm.

    One begins where the score rises above the frame before, and two become one at the lowest frame between them.
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


@compiled
def join_equal(column: np.ndarray, borders: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores and borders of stretches with one score, common after a median filter; the last score ends them."""
    T = len(column) - 1
    scores, times = np.empty(T + 1, column.dtype), np.empty(T + 1)
    count = 0
    for t in range(T):
        if t == 0 or column[t] != column[t - 1]:
            scores[count], times[count] = column[t], borders[t]
            count += 1
    scores[count], times[count] = column[T], borders[T]
    return scores[: count + 1], times[: count + 1]


@compiled
def _sweep_class(
    column: np.ndarray, borders: np.ndarray, onsets: np.ndarray, offsets: np.ndarray, collar_s: float,
    tolerances: np.ndarray, filled: int, out_score: np.ndarray, out_hits: np.ndarray, out_detected: np.ndarray,
) -> int:  # fmt: skip
    """Frames join from the highest score on.

    Hits are the largest matching of runs and events that are close. Of a matching a run that grows is taken out, and
    events without a run look for one by a path of exchanges, which keeps the matching the largest.
    """
    column, borders = join_equal(column, borders)
    T, num_events = len(column) - 1, len(onsets)
    first = np.searchsorted(borders[:T], onsets - collar_s - 1 / MICROSECONDS)  # of the runs that each may match
    last = np.searchsorted(borders[:T], onsets + collar_s + 1 / MICROSECONDS, "right")
    is_near = np.zeros(T + 1, np.bool_)
    for event in range(num_events):
        is_near[first[event] : last[event]] = True
    frames = np.flatnonzero(column[:T] > 0)
    frames = frames[np.argsort(-column[frames])]
    is_active = np.zeros(T + 2, np.bool_)  # by frame + 1
    right = np.zeros(T + 1, np.int64)  # end behind the run that begins here
    left = np.zeros(T + 1, np.int64)  # begin of the run that ends before here
    event_of = np.full(T + 1, -1)  # by begin of the run
    run_of = np.full(num_events, -1)
    seen, parent = np.full(T + 1, -1), np.zeros(T + 1, np.int64)
    queue = np.empty(num_events, np.int64)
    hits = detected = last_hits = last_detected = position = searches = 0
    while position < len(frames):
        value = column[frames[position]]
        has_changed = False
        while position < len(frames) and column[frames[position]] == value:
            begin = frames[position]
            end = begin + 1
            position += 1
            is_active[begin + 1] = True
            detected += 1
            if is_active[end + 1]:
                detected -= 1
                if event_of[end] >= 0:
                    run_of[event_of[end]], event_of[end] = -1, -1
                    hits, has_changed = hits - 1, True
                end = right[end]
            if is_active[begin]:
                detected -= 1
                begin = left[begin]
                if event_of[begin] >= 0:
                    run_of[event_of[begin]], event_of[begin] = -1, -1
                    hits, has_changed = hits - 1, True
            right[begin], left[end] = end, begin
            has_changed |= is_near[begin]
        if has_changed:
            for event in range(num_events):
                if run_of[event] < 0:
                    searches += 1
                    hits += _find_run(
                        event, searches, borders, onsets, offsets, collar_s, tolerances, first, last, is_active, right,
                        event_of, run_of, seen, parent, queue,
                    )  # fmt: skip
        if hits != last_hits or detected != last_detected:
            out_score[filled] = value
            out_hits[filled], out_detected[filled] = hits - last_hits, detected - last_detected
            filled += 1
            last_hits, last_detected = hits, detected
    return filled


@compiled
def _find_run(
    event: int, search: int, borders: np.ndarray, onsets: np.ndarray, offsets: np.ndarray, collar_s: float,
    tolerances: np.ndarray, first: np.ndarray, last: np.ndarray, is_active: np.ndarray, right: np.ndarray,
    event_of: np.ndarray, run_of: np.ndarray, seen: np.ndarray, parent: np.ndarray, queue: np.ndarray,
) -> int:  # fmt: skip
    """Match an event, if need be by moving others to another run; return whether there is a way, as 1 or 0."""
    queue[0] = event
    here, behind = 0, 1
    while here < behind:
        other = queue[here]
        here += 1
        for run in range(first[other], last[other]):
            is_run = is_active[run + 1] and not is_active[run]
            if not is_run or seen[run] == search:
                continue
            onset_off = abs(borders[run] - onsets[other]) - collar_s
            offset_off = abs(borders[right[run]] - offsets[other]) - tolerances[other]
            if np.rint(max(onset_off, offset_off) * MICROSECONDS) > 0:
                continue
            seen[run], parent[run] = search, other
            if event_of[run] >= 0:
                queue[behind] = event_of[run]
                behind += 1
                continue
            free = run
            while free >= 0:
                owner = parent[free]
                before = run_of[owner]
                run_of[owner], event_of[free] = free, owner
                free = before
            return 1
    return 0
