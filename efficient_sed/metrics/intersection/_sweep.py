"""What a clip adds to the counts behind intersection F1 at every threshold, compiled by numba."""

from __future__ import annotations

import numpy as np

from efficient_sed.machine.compile import compiled
from efficient_sed.metrics._runs import run_changes, sweep_without_events

MICROSECONDS = 1e6  # lengths are rounded to them before a comparison, as in sed_scores_eval: exactly a half counts


@compiled
def sweep_clip(
    scores: np.ndarray, borders: np.ndarray, first_event: np.ndarray, onsets: np.ndarray, offsets: np.ndarray,
    dtc: float, gtc: float, filled: int,
    out_class: np.ndarray, out_score: np.ndarray, out_hits: np.ndarray, out_detected: np.ndarray,
) -> int:  # fmt: skip
    """Append a clip's entries; scores of 0 or less are reached by no threshold.

    Args:
        scores: Shape (frames, classes).
        borders: Times of the frames' borders, (frames + 1,).
        first_event: Events of class c are first_event[c] to first_event[c + 1] in `onsets` and `offsets`; those of a
            class are apart.
        onsets: Of events in seconds.
        offsets: Of events in seconds.
        dtc: Share of a detection that its class's events must cover.
        gtc: Share of an event that detections must cover.
        filled: Entries that the `out_` arrays hold already; they have room for one a score.
        out_class: Class of each entry.
        out_score: Score from which it holds downwards.
        out_hits: Change of the events found.
        out_detected: Change of the events found and the false alarms.

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
            column, borders, onsets[first:last], offsets[first:last], dtc, gtc, filled,
            out_score, out_hits, out_detected,
        )  # fmt: skip
        out_class[before:filled] = c
    return filled


@compiled
def _sweep_class(
    column: np.ndarray, borders: np.ndarray, onsets: np.ndarray, offsets: np.ndarray, dtc: float, gtc: float,
    filled: int, out_score: np.ndarray, out_hits: np.ndarray, out_detected: np.ndarray,
) -> int:  # fmt: skip
    """A run that is covered enough adds to what is covered of each event; any other is a false alarm."""
    scores, begins, ends, changes = run_changes(column)
    needed = np.rint(gtc * (offsets - onsets) * MICROSECONDS)
    shares, covered = np.empty(len(onsets)), np.zeros(len(onsets))
    alarms = last_hits = last_detected = 0
    for entry in range(len(scores)):
        on, off = borders[begins[entry]], borders[ends[entry]]
        for event in range(len(onsets)):
            shares[event] = max(min(off, offsets[event]) - max(on, onsets[event]), 0.0)
        if np.rint(shares.sum() * MICROSECONDS) >= np.rint(dtc * (off - on) * MICROSECONDS):
            covered += changes[entry] * shares
        else:
            alarms += changes[entry]
        if entry + 1 == len(scores) or scores[entry + 1] < scores[entry]:
            hits = np.sum(np.rint(covered * MICROSECONDS) >= needed)
            if hits != last_hits or hits + alarms != last_detected:
                out_score[filled] = scores[entry]
                out_hits[filled], out_detected[filled] = hits - last_hits, hits + alarms - last_detected
                filled += 1
                last_hits, last_detected = hits, hits + alarms
    return filled
