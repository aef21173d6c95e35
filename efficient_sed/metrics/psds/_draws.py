"""PSDS of each class when clips are drawn again, compiled by numba.

Counts of a drawn clip enter as often as it was drawn.
"""

from __future__ import annotations

import numpy as np

from efficient_sed.machine.compile import compiled

HOUR_S = 3600.0


@compiled
def draw_classes(
    weights: np.ndarray, duration_s: float, max_alarms: int, max_efpr: float, num_events: np.ndarray,
    first_entry: np.ndarray, is_last_of_ties: np.ndarray, clips: np.ndarray, hits: np.ndarray, alarms: np.ndarray,
    is_floor: np.ndarray, is_complete: np.ndarray, most_alarms: np.ndarray, values: np.ndarray,
) -> int:  # fmt: skip
    """Write each class's area below its curve into `values`.

    Args:
        weights: How often each clip was drawn.
        duration_s: Length of the drawn clips.
        max_alarms: Most false alarms within the cut at that length.
        max_efpr: False positives an hour at which the curve is cut.
        num_events: Events of each class in the drawn clips; classes without any are left as they are.
        first_entry: Entries of class c, by descending score, are first_entry[c] to first_entry[c + 1].
        is_last_of_ties: Whether the next entry of the class has a lower score.
        clips: Clip of each entry.
        hits: Change of the events found by it.
        alarms: Change of the false alarms.
        is_floor: Entry by which a clip without events of the class reaches its highest score: from there down it holds
            at least one false alarm.
        is_complete: Classes of which no entry was left out.
        most_alarms: Bound on the false alarms of each class if every clip is drawn once.
        values: Area of each class as a share of the whole, written over.

    Returns:
        A class whose left-out entries could matter to this draw; -1 if there is none.
    """
    heaviest = weights.max()
    for c in range(len(num_events)):
        if num_events[c] == 0:
            continue
        size = min(max_alarms, most_alarms[c] * heaviest) + 1
        best = np.zeros(size, np.int64)
        found = false = floor = 0
        for entry in range(first_entry[c], first_entry[c + 1]):
            weight = weights[clips[entry]]
            found += weight * hits[entry]
            false += weight * alarms[entry]
            if is_floor[entry]:
                floor += weight
            if is_last_of_ties[entry]:
                if floor > max_alarms:
                    break  # so many false alarms there are at every lower threshold, too
                if 0 <= false <= max_alarms and found > best[false]:
                    best[false] = found
        if floor <= max_alarms and not is_complete[c]:
            return c
        total = 0.0
        highest = 0
        for k in range(size):
            highest = max(highest, best[k])
            following = (k + 1) / duration_s * HOUR_S if k + 1 < size else max_efpr
            total += highest * (following - k / duration_s * HOUR_S)
        values[c] = total / max_efpr / num_events[c]
    return -1
