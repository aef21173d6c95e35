"""What a clip adds to the counts behind PSDS at every threshold, compiled by numba.

A threshold u makes the frames with a score of at least u active, runs of them detections. As u falls from the highest
score, frames join and runs merge. Every change of the counts is emitted as an entry (class, score, change of hits,
change of false alarms) that takes effect from thresholds of that score downwards; sums over the entries of all clips
are the counts of the data set.
"""

from __future__ import annotations

import numpy as np

from efficient_sed.machine.compile import compiled

MICROSECONDS = 1e6  # lengths are rounded to them before a comparison, as in sed_scores_eval: exactly 0.7 counts
FAILED, PASSED = 1, 2  # states of a detection that was held against the detection tolerance; 0: not yet


@compiled
def column_maxima(scores: np.ndarray, maxima: np.ndarray) -> bool:
    """Write the highest score of each class into `maxima`; return whether none is NaN or plus infinity."""
    T, C = scores.shape
    are_numbers = True
    maxima[:] = scores[0]
    for t in range(T):
        for c in range(C):
            value = scores[t, c]
            are_numbers &= value < np.inf
            maxima[c] = value if value > maxima[c] else maxima[c]
    return are_numbers


@compiled
def move_up(
    classes: np.ndarray, scores: np.ndarray, hits: np.ndarray, alarms: np.ndarray, clips: np.ndarray, cuts: np.ndarray
) -> int:
    """Move the entries that reach the cut of their class to the front of their arrays; return how many do."""
    kept = 0
    for entry in range(len(scores)):
        if scores[entry] >= cuts[classes[entry]]:
            classes[kept], scores[kept], hits[kept], alarms[kept], clips[kept] = (
                classes[entry],
                scores[entry],
                hits[entry],
                alarms[entry],
                clips[entry],
            )
            kept += 1
    return kept


@compiled
def sweep_clip(
    scores: np.ndarray, maxima: np.ndarray, cuts: np.ndarray, borders: np.ndarray, first_event: np.ndarray,
    onsets: np.ndarray, offsets: np.ndarray, dtc: float, gtc: float, begin: int, filled: int,
    out_class: np.ndarray, out_score: np.ndarray, out_hits: np.ndarray, out_alarms: np.ndarray,
) -> tuple[int, int]:  # fmt: skip
    """Append a clip's entries of the classes from `begin` on.

    Args:
        scores: Shape (frames, classes).
        maxima: Highest score of each class.
        cuts: Lowest score of each class that still matters.
        borders: Times of the frames' borders, (frames + 1,).
        dtc: Share of a detection that its class's events must cover.
        gtc: Share of an event that detections must cover.
        begin: First class.
        first_event: Events of class c are first_event[c] to first_event[c + 1] in `onsets` and `offsets`; those of a
            class are apart, ascending.
        onsets: Of events in seconds.
        offsets: Of events in seconds.
        filled: Entries that the `out_` arrays hold already.
        out_class: Class of each entry.
        out_score: Score from which it holds downwards.
        out_hits: Change of the events found.
        out_alarms: Change of the false alarms.

    Returns:
        The class to go on with once the arrays were emptied (the number of classes if all are done), and the entries
        that they hold now.
    """
    T, C = scores.shape
    column = np.empty(T + 1)
    column[T] = -np.inf
    for c in range(begin, C):
        if not maxima[c] >= cuts[c]:
            continue
        if filled + T > len(out_class):
            return c, filled
        for t in range(T):
            column[t] = scores[t, c]
        before, first, last = filled, first_event[c], first_event[c + 1]
        if first == last:
            filled = _sweep_without_events(column, cuts[c], filled, out_score, out_hits, out_alarms)
        else:
            filled = _sweep_with_events(
                column, cuts[c], borders, onsets[first:last], offsets[first:last], dtc, gtc, filled,
                out_score, out_hits, out_alarms,
            )  # fmt: skip
        out_class[before:filled] = c
    return C, filled


@compiled
def _sweep_without_events(
    column: np.ndarray, cut: float, filled: int, out_score: np.ndarray, out_hits: np.ndarray, out_alarms: np.ndarray
) -> int:
    """Every run is a false alarm.

    One begins where the score rises above the frame before, and two become one at the lowest frame between them.
    """
    previous = -np.inf
    for t in range(len(column) - 1):
        value = column[t]
        change = int(value > previous) - int(column[t + 1] > value)
        if change != 0 and value >= cut:
            out_score[filled], out_hits[filled], out_alarms[filled] = value, 0, change
            filled += 1
        previous = value
    return filled


@compiled
def _sweep_with_events(
    column: np.ndarray, cut: float, borders: np.ndarray, onsets: np.ndarray, offsets: np.ndarray,
    dtc: float, gtc: float, filled: int, out_score: np.ndarray, out_hits: np.ndarray, out_alarms: np.ndarray,
) -> int:  # fmt: skip
    """Frames join from the highest score on.

    A run is judged when all frames of its score have joined, and taken back when it grows.

    The counts need not be monotone: a run that grows may lose its event. Neighbours of one score, common after a median
    filter, count as one frame.
    """
    column, borders = _join_equal(column, borders)
    T = len(column) - 1
    frames = np.flatnonzero(column[:T] >= cut)
    frames = frames[np.argsort(-column[frames])]
    is_active = np.zeros(T + 1, np.bool_)
    right = np.zeros(T + 1, np.int64)  # end behind the run that begins here
    left = np.zeros(T + 1, np.int64)  # begin of the run that ends before here
    state = np.zeros(T + 1, np.int8)  # by begin of the run
    touched = np.empty(T, np.int64)
    needed = np.rint(gtc * (offsets - onsets) * MICROSECONDS)
    covered = np.zeros(len(onsets))
    hits = alarms = last_hits = last_alarms = 0
    position = 0
    while position < len(frames):
        value = column[frames[position]]
        num_touched = 0
        while position < len(frames) and column[frames[position]] == value:
            begin = frames[position]
            end = begin + 1
            position += 1
            is_active[begin] = True
            if is_active[end]:
                hits, alarms = _take_back(
                    end, right[end], state, borders, onsets, offsets, needed, covered, hits, alarms
                )
                end = right[end]
            if begin > 0 and is_active[begin - 1]:
                hits, alarms = _take_back(
                    left[begin], begin, state, borders, onsets, offsets, needed, covered, hits, alarms
                )
                begin = left[begin]
            right[begin], left[end] = end, begin
            touched[num_touched] = begin
            num_touched += 1
        for index in range(num_touched):
            begin = touched[index]
            if state[begin] != 0 or (begin > 0 and is_active[begin - 1]):
                continue  # seen already, or part of a longer run
            on, off = borders[begin], borders[right[begin]]
            if np.rint(_overlap(on, off, onsets, offsets) * MICROSECONDS) >= np.rint(dtc * (off - on) * MICROSECONDS):
                state[begin] = PASSED
                hits += _cover(on, off, 1.0, onsets, offsets, needed, covered)
            else:
                state[begin] = FAILED
                alarms += 1
        if hits != last_hits or alarms != last_alarms:
            out_score[filled], out_hits[filled], out_alarms[filled] = value, hits - last_hits, alarms - last_alarms
            filled += 1
            last_hits, last_alarms = hits, alarms
    return filled


@compiled
def _join_equal(column: np.ndarray, borders: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores and borders of stretches with one score."""
    T = len(column) - 1
    scores, times = np.empty(T + 1), np.empty(T + 1)
    count = 0
    for t in range(T):
        if t == 0 or column[t] != column[t - 1]:
            scores[count], times[count] = column[t], borders[t]
            count += 1
    scores[count], times[count] = column[T], borders[T]
    return scores[: count + 1], times[: count + 1]


@compiled
def _take_back(
    begin: int, end: int, state: np.ndarray, borders: np.ndarray, onsets: np.ndarray, offsets: np.ndarray,
    needed: np.ndarray, covered: np.ndarray, hits: int, alarms: int,
) -> tuple[int, int]:  # fmt: skip
    """Counts without the run of these frames."""
    if state[begin] == FAILED:
        alarms -= 1
    elif state[begin] == PASSED:
        hits += _cover(borders[begin], borders[end], -1.0, onsets, offsets, needed, covered)
    state[begin] = 0
    return hits, alarms


@compiled
def _overlap(on: float, off: float, onsets: np.ndarray, offsets: np.ndarray) -> float:
    """Seconds that [on, off) shares with the events."""
    total = 0.0
    event = np.searchsorted(offsets, on)
    while event < len(onsets) and onsets[event] < off:
        total += max(min(off, offsets[event]) - max(on, onsets[event]), 0.0)
        event += 1
    return total


@compiled
def _cover(
    on: float, off: float, sign: float, onsets: np.ndarray, offsets: np.ndarray, needed: np.ndarray, covered: np.ndarray
) -> int:
    """Add the seconds of [on, off) to what is covered of each event, or take them off by a `sign` of -1.

    Returns:
        Change of the number of events found.
    """
    change = 0
    event = np.searchsorted(offsets, on)
    while event < len(onsets) and onsets[event] < off:
        change -= int(np.rint(covered[event] * MICROSECONDS) >= needed[event])
        covered[event] += sign * max(min(off, offsets[event]) - max(on, onsets[event]), 0.0)
        change += int(np.rint(covered[event] * MICROSECONDS) >= needed[event])
        event += 1
    return change
