"""What a clip adds to the counts behind F1 of events at every threshold, compiled by numba.

A threshold makes the frames with at least that score active, and runs of them detections. Every change of the counts is
an entry (class, score, change of hits, change of detections) that takes effect from thresholds of that score downwards;
sums over entries are counts of a data set.
"""

from __future__ import annotations

import numpy as np

from efficient_sed.machine.compile import compiled
from efficient_sed.metrics._runs import run_changes, sweep_without_events

MICROSECOND = 1e-6  # added to a collar where frames are looked up by it; floats may miss its end


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
    column = np.empty(T, scores.dtype)
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
def _sweep_class(
    column: np.ndarray, borders: np.ndarray, onsets: np.ndarray, offsets: np.ndarray, collar_s: float,
    tolerances: np.ndarray, filled: int, out_score: np.ndarray, out_hits: np.ndarray, out_detected: np.ndarray,
) -> int:  # fmt: skip
    """Hits are the largest matching of runs and events that are close.

    A run that goes is taken out of it, and events without a run look for one by a path of exchanges, which makes the
    matching the largest again.
    """
    T, num_events = len(column), len(onsets)
    scores, begins, ends, changes = run_changes(column)
    first = np.searchsorted(borders[:T], onsets - collar_s - MICROSECOND)  # of the runs that each may match
    last = np.searchsorted(borders[:T], onsets + collar_s + MICROSECOND, "right")
    is_near = np.zeros(T, np.bool_)
    for event in range(num_events):
        is_near[first[event] : last[event]] = True
    end_of = np.zeros(T, np.int64)  # by first frame of the run; 0: there is none
    event_of = np.full(T, -1)  # likewise
    run_of = np.full(num_events, -1)
    seen, parent = np.full(T, -1), np.zeros(T, np.int64)
    queue = np.empty(num_events, np.int64)
    hits = detected = last_hits = last_detected = position = searches = 0
    while position < len(scores):
        value, has_changed = scores[position], False
        while position < len(scores) and scores[position] == value:
            begin = begins[position]
            detected += changes[position]
            end_of[begin] = ends[position] if changes[position] > 0 else 0
            has_changed |= is_near[begin]
            if changes[position] < 0 and event_of[begin] >= 0:
                run_of[event_of[begin]], event_of[begin] = -1, -1
                hits -= 1
            position += 1
        if has_changed:
            for event in range(num_events):
                if run_of[event] < 0:
                    searches += 1
                    hits += _find_run(
                        event, searches, borders, onsets, offsets, collar_s, tolerances, first, last, end_of,
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
    tolerances: np.ndarray, first: np.ndarray, last: np.ndarray, end_of: np.ndarray,
    event_of: np.ndarray, run_of: np.ndarray, seen: np.ndarray, parent: np.ndarray, queue: np.ndarray,
) -> int:  # fmt: skip
    """Match an event, if need be by moving others to another run; return whether there is a way, as 1 or 0."""
    queue[0] = event
    here, behind = 0, 1
    while here < behind:
        other = queue[here]
        here += 1
        for run in range(first[other], last[other]):
            if end_of[run] == 0 or seen[run] == search:
                continue
            onset_off, offset_off = abs(borders[run] - onsets[other]), abs(borders[end_of[run]] - offsets[other])
            if onset_off > collar_s or offset_off > tolerances[other]:
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
