"""Frame scores to events: runs of frames that reach a threshold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.events import Event
from efficient_sed.machine.compile import is_worth_compiling

PLAIN_S = 2e-6  # a score, where the loop is not compiled
Threshold: TypeAlias = float | Sequence[float] | np.ndarray
"""One for all classes, or one a class in the order of the scores' columns."""


class Runs(NamedTuple):
    """Consecutive frames of one class that reach a threshold: arrays with an entry a run, by their end."""

    level: np.ndarray
    """Which of the ascending thresholds."""
    column: np.ndarray
    first: np.ndarray
    last: np.ndarray
    """Frame behind the last one."""
    peak: np.ndarray
    """Highest score inside."""

    def select(self, where: np.ndarray) -> Runs:
        """Those of a mask, or in the order of an index."""
        return Runs(*(values[where] for values in self))

    def to_events(self, onsets_s: np.ndarray, offsets_s: np.ndarray, classes: Sequence[str]) -> list[Event]:
        """An event for each run, from its onset and offset in seconds."""
        labels = [classes[column] for column in self.column]
        times = np.round(onsets_s, 6).tolist(), np.round(offsets_s, 6).tolist()
        return list(map(Event, *times, labels, self.peak.tolist()))


class RunFinder:
    """Finds runs in consecutive pieces of scores (frames, classes), at ascending thresholds in one pass.

    Args:
        thresholds: Ascending levels; each is one threshold for all classes, or one a class.
        num_classes: Columns of the scores.
    """

    def __init__(self, thresholds: Sequence[Threshold] | np.ndarray, num_classes: int) -> None:
        self.thresholds = np.stack([np.broadcast_to(level, num_classes) for level in thresholds])
        self._num_frames = 0
        self._onset = np.full((len(thresholds), num_classes), -1)
        self._peak = np.zeros((len(thresholds), num_classes))

    def add(self, scores: np.ndarray) -> Runs:
        """Runs that end in the next piece, which may be without frames."""
        from efficient_sed.postprocessing._runs import find_runs

        is_worth_compiling(PLAIN_S * scores.size * len(self.thresholds))
        levels = self.thresholds.astype(scores.dtype)  # 0.7 is reached by the score nearest to it
        runs, peaks = find_runs(compilable(scores), compilable(levels), self._num_frames, self._onset, self._peak)
        self._num_frames += len(scores)
        level, column, first, last = runs.T
        return Runs(level, column, first, last, peaks)

    def open_runs(self) -> Runs:
        """Runs that have begun and not ended yet, up to the last frame so far."""
        level, column = np.nonzero(self._onset >= 0)
        last = np.full(len(column), self._num_frames)
        return Runs(level, column, self._onset[level, column], last, self._peak[level, column])

    def close(self) -> Runs:
        """Runs that the end of the scores ends."""
        return self.add(np.full((1, self._onset.shape[1]), -np.inf, dtype=np.float32))


def find_all_runs(scores: np.ndarray, thresholds: Sequence[Threshold] | np.ndarray) -> Runs:
    """Runs at ascending thresholds, as for `RunFinder`, in whole scores (frames, classes), by their begin."""
    finder = RunFinder(thresholds, scores.shape[1])
    runs = Runs(*map(np.concatenate, zip(finder.add(scores), finder.close(), strict=True)))
    return runs.select(np.argsort(runs.first, kind="stable"))


def decode_thresholds(
    scores: np.ndarray, classes: Sequence[str], grid: FrameGrid, thresholds: Iterable[float], duration_s: float
) -> dict[float, list[Event]]:
    """By threshold the runs of frames with at least that score, for scores (frames, classes).

    By onset, cut at the clip's duration.
    """
    levels = sorted(set(thresholds))
    runs = find_all_runs(scores, levels)
    return {
        threshold: sorted(runs_to_events(runs.select(runs.level == level), classes, grid, duration_s))
        for level, threshold in enumerate(levels)
    }


def decode_events(
    scores: np.ndarray, classes: Sequence[str], grid: FrameGrid, threshold: Threshold, duration_s: float
) -> list[Event]:
    """`decode_thresholds` for a single one, of all classes or of each."""
    return sorted(runs_to_events(find_all_runs(scores, [threshold]), classes, grid, duration_s))


def decode_stream(
    pieces: Iterable[np.ndarray], classes: Sequence[str], grid: FrameGrid, threshold: Threshold, duration_s: float
) -> Iterator[Event]:
    """`decode_events` of consecutive pieces of scores (frames, classes), each event yielded once it has ended.

    Memory does not grow with length.
    """
    for ended, _ in track_stream(pieces, classes, grid, threshold, duration_s):
        yield from ended


def track_stream(
    pieces: Iterable[np.ndarray], classes: Sequence[str], grid: FrameGrid, threshold: Threshold, duration_s: float
) -> Iterator[tuple[list[Event], list[Event]]]:
    """As `decode_stream`, for each piece the events that ended in it, and those that go on, up to its end."""
    finder = RunFinder([threshold], len(classes))
    for scores in pieces:
        ended = runs_to_events(finder.add(scores), classes, grid, duration_s)
        yield ended, runs_to_events(finder.open_runs(), classes, grid, duration_s)
    yield runs_to_events(finder.close(), classes, grid, duration_s), []


def runs_to_events(runs: Runs, classes: Sequence[str], grid: FrameGrid, duration_s: float) -> list[Event]:
    """An event for each run, in their order, cut at the clip's duration."""
    return runs.to_events(runs.first * grid.hop_s, np.minimum(runs.last * grid.hop_s, duration_s), classes)


def compilable(scores: np.ndarray) -> np.ndarray:
    """The same numbers row by row; half precision as single, which compiled loops need."""
    return np.ascontiguousarray(scores, dtype=np.float32 if scores.dtype == np.float16 else None)
