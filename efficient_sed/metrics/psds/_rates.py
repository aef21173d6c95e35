"""How few false alarms each number of found events takes, by class, compiled by numba.

Counts of a clip enter as often as it was drawn. A cross-trigger counts as so many false alarms as it costs: with
durations T of all clips and T_k of class k's events, alpha_ct x T / ((classes - 1) x T_k), which gives the effective
rate of Bilen et al., "A framework for the robust evaluation of sound event detection", ICASSP 2020, equation 8.
"""

from __future__ import annotations

import numpy as np

from efficient_sed.machine.compile import compiled

HOUR_S = 3600.0


@compiled
def fewest_alarms(
    first: int, last: int, scores: np.ndarray, clips: np.ndarray, hits: np.ndarray, alarms: np.ndarray, on: np.ndarray,
    is_floor: np.ndarray, weights: np.ndarray, costs: np.ndarray, max_alarms: float, fewest: np.ndarray,
) -> int:  # fmt: skip
    """Write the fewest false alarms at which so many events or more are found into `fewest`, infinity where none are.

    Args:
        first: The class's entries, by descending score, are `first` to `last`.
        last: See `first`.
        scores: Of entries.
        clips: Of entries.
        hits: Change of the events found by each entry.
        alarms: Change of the false alarms, or cross-triggers.
        on: Class of the cross-triggers, -1 for false alarms; empty: there are no cross-triggers.
        is_floor: Entry by which a clip without events of the class reaches its highest score: from there down it holds
            at least one false alarm. Empty: not asked for.
        weights: How often each clip was drawn.
        costs: False alarms that a cross-trigger on each class counts as.
        max_alarms: Lower thresholds are left out where more clips hold a false alarm for sure.
        fewest: Of 0 events to all of the class.

    Returns:
        Clips that hold a false alarm for sure at the lowest threshold that was looked at.
    """
    fewest[:] = np.inf
    fewest[0] = 0.0
    found = false = triggers = floor = 0
    cross = 0.0
    for entry in range(first, last):
        weight = weights[clips[entry]]
        if len(on) == 0 or on[entry] < 0:
            found += weight * hits[entry]
            false += weight * alarms[entry]
        else:
            triggers += weight * alarms[entry]
            cross = (
                cross + weight * alarms[entry] * costs[on[entry]] if triggers > 0 else 0.0
            )  # exactly, if none is left
        if len(is_floor) > 0 and is_floor[entry]:
            floor += weight
        if entry + 1 == last or scores[entry + 1] != scores[entry]:
            if floor > max_alarms:
                break  # so many false alarms there are at every lower threshold, too
            fewest[found] = min(fewest[found], false + cross)
    for events in range(len(fewest) - 2, -1, -1):
        fewest[events] = min(fewest[events], fewest[events + 1])
    return floor


@compiled
def class_areas(
    first_entry: np.ndarray, scores: np.ndarray, clips: np.ndarray, hits: np.ndarray, alarms: np.ndarray,
    on: np.ndarray, is_floor: np.ndarray, weights: np.ndarray, costs: np.ndarray, max_alarms: int,
    duration_s: float, max_efpr: float, num_events: np.ndarray, is_complete: np.ndarray, values: np.ndarray,
) -> int:  # fmt: skip
    """Write each class's area below its curve into `values`.

    Args:
        first_entry: Entries of class c are first_entry[c] to first_entry[c + 1].
        scores: As of `fewest_alarms`, like the next seven.
        clips: See `fewest_alarms`.
        hits: See `fewest_alarms`.
        alarms: See `fewest_alarms`.
        on: See `fewest_alarms`.
        is_floor: See `fewest_alarms`.
        weights: See `fewest_alarms`.
        costs: See `fewest_alarms`.
        max_alarms: Most false alarms within the cut at the length of the drawn clips.
        duration_s: Length of the drawn clips.
        max_efpr: False positives an hour at which the curve is cut.
        num_events: Events of each class in the drawn clips; classes without any are left as they are.
        is_complete: Classes of which no entry was left out.
        values: Area of each class as a share of the whole, written over.

    Returns:
        A class whose left-out entries could matter to this draw; -1 if there is none.
    """
    for c in range(len(num_events)):
        if num_events[c] == 0:
            continue
        fewest = np.empty(num_events[c] + 1)
        floor = fewest_alarms(
            first_entry[c], first_entry[c + 1], scores, clips, hits, alarms, on, is_floor, weights, costs, max_alarms,
            fewest,
        )  # fmt: skip
        if floor <= max_alarms and not is_complete[c]:
            return c
        total = 0.0
        for events in range(1, len(fewest)):
            total += max(max_efpr - fewest[events] / duration_s * HOUR_S, 0.0)
        values[c] = total / max_efpr / num_events[c]
    return -1


@compiled
def mark_floors(
    first_entry: np.ndarray, clips: np.ndarray, event_class: np.ndarray, event_clip: np.ndarray, num_clips: int
) -> np.ndarray:
    """First entry of each clip in each class of which it has no event; `event_class` ascends."""
    is_floor = np.zeros(len(clips), np.bool_)
    seen_by = np.full(num_clips, -1)
    pair = 0
    for c in range(len(first_entry) - 1):
        while pair < len(event_class) and event_class[pair] <= c:
            if event_class[pair] == c:
                seen_by[event_clip[pair]] = c
            pair += 1
        for entry in range(first_entry[c], first_entry[c + 1]):
            if seen_by[clips[entry]] != c:
                seen_by[clips[entry]] = c
                is_floor[entry] = True
    return is_floor
