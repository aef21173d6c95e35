"""Which errors a page lists, and how much of the sound around each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest
from typing import NamedTuple

from efficient_sed.inference.error_report.find import FALSE_ALARM, Error

CONTEXT_S = 1.0  # before and after an event
LONGEST_S, SHORTEST_S = 12.0, 3.0  # of an excerpt
TOTAL_S = 1200.0  # of all excerpts, while that leaves each the shortest length: keeps pages below 15 MB


class Span(NamedTuple):
    """Part of a clip, in seconds."""

    start_s: float
    length_s: float


def choose_errors(errors: Sequence[Error], max_errors: int) -> list[Error]:
    """At most so many errors, taken from each class and kind in turn; the most surprising first.

    Those are false alarms with the highest scores, and misses with the lowest.
    """
    queues: dict[tuple[int, str], list[Error]] = {}
    for error in errors:
        queues.setdefault((error.column, error.kind), []).append(error)
    most_first = sorted(queues.values(), key=len, reverse=True)
    turns = zip_longest(*(sorted(queue, key=surprise, reverse=True) for queue in most_first))
    chosen = [error for error in chain.from_iterable(turns) if error is not None][:max_errors]
    return sorted(chosen, key=surprise, reverse=True)


def surprise(error: Error) -> float:
    """How sure the model was of what is wrong."""
    return error.score if error.kind == FALSE_ALARM else 1 - error.score


def spans(errors: Sequence[Error], durations_s: Sequence[float], hop_s: float) -> Iterator[Span]:
    """The excerpt of each error: the event and a second around it; of long ones the part around its peak.

    Args:
        errors: On one page.
        durations_s: Length of the clip of each.
        hop_s: Seconds of a frame; excerpts begin with one.
    """
    whole = [
        (max(0.0, error.onset_s - CONTEXT_S), min(duration_s, error.offset_s + CONTEXT_S))
        for error, duration_s in zip(errors, durations_s, strict=True)
    ]
    longest_s = LONGEST_S
    while longest_s > SHORTEST_S and sum(min(end - begin, longest_s) for begin, end in whole) > TOTAL_S:
        longest_s -= 0.5
    for error, (begin, end) in zip(errors, whole, strict=True):
        length_s = min(longest_s, end - begin)
        start_s = min(max(begin, error.peak_s - length_s / 2), end - length_s)
        start_s = int(round(start_s / hop_s, 6)) * hop_s
        yield Span(start_s, min(length_s + hop_s, end - start_s))
