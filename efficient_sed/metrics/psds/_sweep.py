"""What a clip adds to the counts behind PSDS at every threshold, compiled by numba.

A threshold u makes the frames with a score of at least u active, runs of them detections. As u falls, runs grow and
merge, so all runs of all thresholds form a tree, which one pass over the frames builds with a stack (the max-tree of
Salembier et al. 1998): a run is there from the lowest of its scores down to the score at which it becomes part of its
parent. Every change of the counts is emitted as an entry that takes effect from thresholds of its score downwards; sums
over the entries of all clips are the counts of the data set.
"""

from __future__ import annotations

import numpy as np

from efficient_sed.machine.compile import compiled

MICROSECONDS = 1e6  # lengths are rounded to them before a comparison, as in sed_scores_eval: exactly 0.7 counts
COLUMN, ONSET, OFFSET = 0, 1, 2  # of an event
ENTRY = np.dtype([("score", "f8"), ("pair", "i4"), ("hits", "i4"), ("alarms", "i4"), ("clip", "i4")])
"""`pair` is the number of the class; of cross-triggers on class k that plus (k + 1) times the number of classes."""


@compiled
def sweep_clip(
    scores: np.ndarray, events: np.ndarray, borders: np.ndarray, cuts: np.ndarray, dtc: float, gtc: float, cttc: float,
    clip: int, begin: int, maxima: np.ndarray, entries: np.ndarray, filled: int,
) -> tuple[int, int]:  # fmt: skip
    """Append a clip's entries of the classes from `begin` on.

    Args:
        scores: Shape (frames, classes).
        events: Number of the class, onset and offset in seconds, (events, 3), in this order ascending; those of a class
            are apart.
        borders: Times of the frames' borders in seconds, (frames + 1,).
        cuts: Lowest score of each class that still matters.
        dtc: Share of a detection that its class's events must cover.
        gtc: Share of an event that detections must cover.
        cttc: Share of a false alarm that another class's events must cover to make it a cross-trigger; 0: none are.
        clip: Number of the clip.
        begin: First class.
        maxima: Highest score of each class; written over if `begin` is 0.
        entries: Array of `ENTRY` to write to; at least (2 + events) x frames of them.
        filled: Entries that it holds already.

    Returns:
        The class to go on with once the entries were emptied (the number of classes if all are done; -1 if a score is
        NaN or plus infinity), and the entries that there are now.
    """
    T, C = scores.shape
    if begin == 0 and not _column_maxima(scores, maxima):
        return -1, filled
    groups = _group_events(events)
    num_others = len(groups) - 1 if cttc > 0 else 0
    levels, times = np.empty(T + 1), np.empty(T + 1)
    last = 0
    for c in range(C):
        first = last
        while last < len(events) and events[last, COLUMN] == c:
            last += 1
        if c < begin or not maxima[c] >= cuts[c]:
            continue
        if filled + (2 + num_others) * T > len(entries):
            return c, filled
        size = _read_column(scores, c, cuts[c], borders, levels, times)
        before = filled
        if first == last and num_others == 0:
            filled = _sweep_without_events(levels[: size + 1], c, entries, filled)
        else:
            filled = _sweep_with_events(
                levels[: size + 1], times, c, C, events, first, last, groups[: num_others + 1], dtc, gtc, cttc,
                entries, filled,
            )  # fmt: skip
        for entry in range(before, filled):
            entries[entry].clip = clip
    return C, filled


@compiled
def _group_events(events: np.ndarray) -> np.ndarray:
    """Where the events of each class begin, and their number."""
    groups = np.empty(len(events) + 1, np.int64)
    count = 0
    for event in range(len(events)):
        if event == 0 or events[event, COLUMN] != events[event - 1, COLUMN]:
            groups[count] = event
            count += 1
    groups[count] = len(events)
    return groups[: count + 1]


@compiled
def reaches_cut(pairs: np.ndarray, scores: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """Whether each entry's score reaches the cut of its class."""
    C = len(cuts)
    is_kept = np.empty(len(scores), np.bool_)
    for entry in range(len(scores)):
        is_kept[entry] = scores[entry] >= cuts[pairs[entry] % C]
    return is_kept


@compiled
def _column_maxima(scores: np.ndarray, maxima: np.ndarray) -> bool:
    """Write the highest score of each class into `maxima`; return whether none is NaN or plus infinity."""
    T, C = scores.shape
    are_numbers = True
    highest = scores[0].copy()
    for t in range(T):
        for c in range(C):
            value = scores[t, c]
            are_numbers &= value < np.inf
            highest[c] = value if value > highest[c] else highest[c]
    maxima[:] = highest
    return are_numbers


@compiled
def _read_column(
    scores: np.ndarray, c: int, cut: float, borders: np.ndarray, levels: np.ndarray, times: np.ndarray
) -> int:
    """Write a class's scores and their begins, stretches of one score as one, and minus infinity below the cut.

    Returns:
        Number of the stretches; behind them stand minus infinity and the clip's end.
    """
    size = 0
    previous = np.nan
    for t in range(len(scores)):
        value = float(scores[t, c])
        if not value >= cut:
            value = -np.inf
        if value != previous:
            levels[size], times[size] = value, borders[t]
            size += 1
            previous = value
    levels[size], times[size] = -np.inf, borders[len(scores)]
    return size


@compiled
def _sweep_without_events(levels: np.ndarray, c: int, entries: np.ndarray, filled: int) -> int:
    """Every run is a false alarm.

    One begins where the score rises above the frame before, and two become one at the lowest frame between them.
    """
    previous = -np.inf
    for index in range(len(levels) - 1):
        value = levels[index]
        change = int(value > previous) - int(levels[index + 1] > value)
        if change != 0 and value > -np.inf:
            _emit(entries, filled, value, c, 0, change)
            filled += 1
        previous = value
    return filled


@compiled
def _sweep_with_events(
    levels: np.ndarray, times: np.ndarray, c: int, C: int, events: np.ndarray, first: int, last: int,
    others: np.ndarray, dtc: float, gtc: float, cttc: float, entries: np.ndarray, filled: int,
) -> int:  # fmt: skip
    """Build the tree of runs; false alarms and cross-triggers are emitted as each is complete, hits at the end.

    `first` to `last` are the class's own events, `others` the begins of each class's, its own among them.
    """
    num_others = len(others) - 1
    own_begin = first if last > first else -1
    size = len(levels)
    level, begin = np.empty(size + 1), np.empty(size + 1, np.int64)  # of the stack, whose runs are still open
    alarms, child = np.empty(size + 1, np.int64), np.empty(size + 1, np.int64)  # of the runs inside
    crosses = np.empty((size + 1, num_others), np.int64)
    is_cross = np.empty(num_others, np.int64)
    num_runs = size if last > first else 0
    value_of, on_of, off_of = np.empty(num_runs), np.empty(num_runs), np.empty(num_runs)  # runs that may change hits
    is_hit, inside, beside = np.empty(num_runs, np.bool_), np.empty(num_runs, np.int64), np.empty(num_runs, np.int64)
    found = depth = 0
    for index in range(size):
        value = levels[index]
        while depth > 0 and level[depth - 1] > value:
            depth -= 1
            on, off = times[begin[depth]], times[index]
            own = _overlap(on, off, events, first, last) if last > first else 0.0
            passes = last > first and np.rint(own * MICROSECONDS) >= np.rint(dtc * (off - on) * MICROSECONDS)
            if int(not passes) != alarms[depth]:
                _emit(entries, filled, level[depth], c, 0, int(not passes) - alarms[depth])
                filled += 1
            for other in range(num_others):
                is_cross[other] = (
                    not passes
                    and others[other] != own_begin
                    and np.rint(_overlap(on, off, events, others[other], others[other + 1]) * MICROSECONDS)
                    >= np.rint(cttc * (off - on) * MICROSECONDS)
                )
                if is_cross[other] != crosses[depth, other]:
                    on_class = int(events[others[other], COLUMN])
                    pair, change = c + (on_class + 1) * C, is_cross[other] - crosses[depth, other]
                    _emit(entries, filled, level[depth], pair, 0, change)
                    filled += 1
            if passes or child[depth] >= 0:
                value_of[found], on_of[found], off_of[found] = level[depth], on, off
                is_hit[found], inside[found] = passes, child[depth]
                found += 1
            if depth == 0 or level[depth - 1] < value:  # the run that it becomes part of begins with it
                level[depth], alarms[depth], child[depth] = value, 0, -1
                crosses[depth] = 0
                depth += 1
            alarms[depth - 1] += int(not passes)
            crosses[depth - 1] += is_cross
            if passes:
                beside[found - 1], child[depth - 1] = child[depth - 1], found - 1
        if depth == 0 or level[depth - 1] < value:
            level[depth], begin[depth], alarms[depth], child[depth] = value, index, 0, -1
            crosses[depth] = 0
            depth += 1
    if found == 0:
        return filled
    return _emit_hits(
        value_of[:found], on_of, off_of, is_hit, inside, beside, c, events[first:last], gtc, entries, filled
    )


@compiled
def _emit_hits(
    value_of: np.ndarray, on_of: np.ndarray, off_of: np.ndarray, is_hit: np.ndarray, inside: np.ndarray,
    beside: np.ndarray, c: int, events: np.ndarray, gtc: float, entries: np.ndarray, filled: int,
) -> int:  # fmt: skip
    """Changes of the events found: runs that cover them come, from the highest score on, in the place of those inside.

    The count need not be monotone: a run that grows may lose its event.
    """
    needed, covered = np.empty(len(events)), np.zeros(len(events))
    for event in range(len(events)):
        needed[event] = np.rint(gtc * (events[event, OFFSET] - events[event, ONSET]) * MICROSECONDS)
    order = np.argsort(-value_of)
    hits = last_hits = 0
    for position in range(len(order)):
        run = order[position]
        former = inside[run]
        while former >= 0:
            hits += _cover(on_of[former], off_of[former], -1.0, events, needed, covered)
            former = beside[former]
        if is_hit[run]:
            hits += _cover(on_of[run], off_of[run], 1.0, events, needed, covered)
        is_last = position + 1 == len(order) or value_of[order[position + 1]] != value_of[run]
        if is_last and hits != last_hits:
            _emit(entries, filled, value_of[run], c, hits - last_hits, 0)
            filled += 1
            last_hits = hits
    return filled


@compiled
def _emit(entries: np.ndarray, filled: int, score: float, pair: int, hits: int, alarms: int) -> None:
    entries[filled].score = score
    entries[filled].pair = pair
    entries[filled].hits = hits
    entries[filled].alarms = alarms


@compiled
def _first_behind(on: float, events: np.ndarray, first: int, last: int) -> int:
    """The first of the events that ends behind a time."""
    while first < last:
        middle = (first + last) // 2
        if events[middle, OFFSET] <= on:
            first = middle + 1
        else:
            last = middle
    return first


@compiled
def _overlap(on: float, off: float, events: np.ndarray, first: int, last: int) -> float:
    """Seconds that [on, off) shares with the events from `first` to `last`."""
    total = 0.0
    for event in range(_first_behind(on, events, first, last), last):
        if events[event, ONSET] >= off:
            break
        total += min(off, events[event, OFFSET]) - max(on, events[event, ONSET])
    return total


@compiled
def _cover(on: float, off: float, sign: float, events: np.ndarray, needed: np.ndarray, covered: np.ndarray) -> int:
    """Add the seconds of [on, off) to what is covered of each event, or take them off by a `sign` of -1.

    Returns:
        Change of the number of events found.
    """
    change = 0
    for event in range(_first_behind(on, events, 0, len(events)), len(events)):
        if events[event, ONSET] >= off:
            break
        change -= int(np.rint(covered[event] * MICROSECONDS) >= needed[event])
        covered[event] += sign * (min(off, events[event, OFFSET]) - max(on, events[event, ONSET]))
        change += int(np.rint(covered[event] * MICROSECONDS) >= needed[event])
    return change
