"""Entries of the threshold sweep, of all clips, without those that no threshold within the cut can reach.

Every clip without events of a class whose highest score reaches a threshold holds at least one false alarm there. So
where more than `max_alarms` such clips do, every threshold from there down lies beyond the cut, whatever the other
clips add, and cross-triggers only add. That bound only rises as clips come in, so that entries below it can go at once.
It needs no order of the clips and stays exact with ties.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from efficient_sed.metrics.psds._checks import EventRow
from efficient_sed.metrics.psds.parameters import PsdsParameters
from efficient_sed.metrics.psds.roc import max_alarms

BUFFER = 2**18
LOWEST = float(np.finfo(np.float64).min)  # a score of minus infinity is never active
SPREAD = 8.0  # standard deviations of a resampled count that the margin covers
FIFTH = 2.0  # a count in a fifth of the clips, times five, has this many times the deviation of a resampled one
MIN_REFRESH = 64  # clips between two looks at the bound


class Entries(NamedTuple):
    """Changes of the counts, from thresholds of `scores` downwards."""

    pairs: np.ndarray
    """Class, and on which other one cross-triggers are, as in `_sweep.ENTRY`."""
    scores: np.ndarray
    hits: np.ndarray
    alarms: np.ndarray
    """False alarms, or cross-triggers."""
    clips: np.ndarray
    """Which clip, in order of arrival."""


class Occurrences(NamedTuple):
    """Which classes occur in which clips."""

    classes: np.ndarray
    clips: np.ndarray
    counts: np.ndarray
    """Events."""
    seconds: np.ndarray
    """Their length."""


class PsdsEntries:
    """Grows by clips; see above.

    Args:
        num_classes: Number of classes.
        durations: Lengths in seconds of the clips that may come.
        parameters: What is measured.
        keeps_clips: Keep so much below the bound that it holds for clips drawn with replacement and for folds of a
            fifth of the clips or more, too, but for a probability below 1e-12.
    """

    def __init__(
        self, num_classes: int, durations: Sequence[float], parameters: PsdsParameters, *, keeps_clips: bool
    ) -> None:
        self._criteria, max_efpr = (parameters.dtc, parameters.gtc, parameters.cttc or 0.0), parameters.max_efpr
        self.events: list[np.ndarray] = []
        """Of each clip class, onset and offset in seconds, (events, 3)."""
        self._keep = max_alarms(math.fsum(durations), max_efpr) + 1
        if keeps_clips:
            longer = SPREAD * math.sqrt(len(durations)) * float(np.std(durations))
            drawn = max_alarms(math.fsum(durations) + longer, max_efpr) + 1
            self._keep = math.ceil(drawn + FIFTH * SPREAD * math.sqrt(drawn)) + 32
        self.cuts = np.full(num_classes, LOWEST)
        """Lowest score of each class that still matters."""
        self._maxima = np.empty((0, num_classes))
        """Highest scores of clips without events of the class, (clips, classes); only the highest are kept."""
        self._num_maxima = 0
        self._next_refresh = self._keep
        self._chunks: list[Entries] = []
        self._buffer: np.ndarray | None = None
        self._filled = 0
        self._is_single = True  # what lies in the buffer are numbers of float32
        self._sorted: tuple[Entries, np.ndarray] | None = None  # `by_class`, until another clip comes

    @property
    def num_clips(self) -> int:
        """Clips so far."""
        return len(self.events)

    def add_clip(self, scores: np.ndarray, events: Sequence[EventRow], borders: np.ndarray) -> bool:
        """Sweep a clip's scores (frames, classes), whose frames lie between `borders` in seconds.

        Events of a class are apart, and all sorted.

        Returns:
            Whether scores are numbers; nothing is added if one is NaN or plus infinity.
        """
        from efficient_sed.metrics.psds._sweep import ENTRY, sweep_clip

        T, C = scores.shape
        rows = np.array(events, dtype=np.float64).reshape(-1, 3)
        if self._buffer is None or len(self._buffer) < (2 + len(rows)) * T:
            self._flush()
            self._buffer = np.empty(max(BUFFER, (2 + len(rows)) * T), ENTRY)
        if self._num_maxima == len(self._maxima):
            self._maxima = np.concatenate([self._maxima, np.empty((max(MIN_REFRESH, self._num_maxima // 4), C))])
        maxima = self._maxima[self._num_maxima]
        self._sorted = None
        before, begin, clip = self._filled, 0, len(self.events)
        while begin < C:
            begin, self._filled = sweep_clip(
                scores, rows, borders, self.cuts, *self._criteria, clip, begin, maxima, self._buffer, self._filled
            )
            if begin < 0:
                self._filled = before
                return False
            self._is_single &= scores.dtype == np.float32
            if begin < C:
                self._flush()
        for column, _, _ in events:
            maxima[column] = -np.inf
        self.events.append(rows)
        self._num_maxima += 1
        self._refresh()
        return True

    def merge(self, other: PsdsEntries) -> None:
        """Take over what another one holds."""
        self._sorted = None
        self._chunks += [chunk._replace(clips=chunk.clips + self.num_clips) for chunk in other.chunks()]
        self.events += other.events
        self._maxima = np.concatenate([self._maxima[: self._num_maxima], other._maxima[: other._num_maxima]])
        self._num_maxima = len(self._maxima)
        self._refresh()

    def chunks(self) -> list[Entries]:
        """All entries that are left, in no order."""
        self._flush()
        return self._chunks

    def by_class(self) -> tuple[Entries, np.ndarray]:
        """All entries, class after class and by descending score, and the first of each class, (classes + 1,)."""
        if self._sorted is not None:
            return self._sorted
        chunks = self.chunks() or [
            Entries(*(np.zeros(0, dtype) for dtype in (np.int32, np.float32, np.int8, np.int8, np.int32)))
        ]
        joined = Entries(*map(np.concatenate, zip(*chunks, strict=True)))
        classes = joined.pairs % len(self.cuts)
        order = np.argsort(classes, kind="stable")
        firsts = np.searchsorted(classes[order], np.arange(len(self.cuts) + 1))
        for first, last in itertools.pairwise(firsts):
            own = order[first:last]
            order[first:last] = own[np.argsort(-joined.scores[own])]
        self._sorted = Entries(*(array[order] for array in joined)), firsts
        self._chunks = [self._sorted[0]]
        return self._sorted

    def occurrences(self) -> Occurrences:
        """Classes by clip, in order of both."""
        rows = np.concatenate([np.empty((0, 3)), *self.events])
        clips = np.repeat(np.arange(len(self.events)), [len(own) for own in self.events])
        C = len(self.cuts)
        keys, place = np.unique(clips * C + rows[:, 0].astype(np.int64), return_inverse=True)
        seconds = np.bincount(place, rows[:, 2] - rows[:, 1], len(keys))
        return Occurrences(keys % C, keys // C, np.bincount(place, minlength=len(keys)), seconds)

    def __getstate__(self) -> dict[str, Any]:
        self._flush()
        return self.__dict__ | {"_buffer": None}

    def _flush(self) -> None:
        """Pack what the buffer holds."""
        if self._buffer is not None and self._filled:
            full, C = self._buffer[: self._filled], len(self.cuts)
            pairs = full["pair"].astype(np.min_scalar_type(C * (C + 1) if self._criteria[2] else C))
            scores = full["score"].astype(np.float32 if self._is_single else np.float64)
            hits, alarms = _narrow(full["hits"]), _narrow(full["alarms"])
            self._chunks.append(_cut(Entries(pairs, scores, hits, alarms, full["clip"].copy()), self.cuts))
        self._filled, self._is_single = 0, True

    def _refresh(self) -> None:
        """Raise the cuts and leave out what lies below them, if enough clips came for it to pay."""
        if self._num_maxima < self._next_refresh:
            return
        joined = self._maxima[: self._num_maxima]
        joined.partition(len(joined) - self._keep, axis=0)
        self._maxima = np.concatenate(
            [joined[-self._keep :], np.empty((max(MIN_REFRESH, self._keep // 4), len(self.cuts)))]
        )
        self._num_maxima = self._keep
        self._next_refresh = len(self._maxima)
        self.cuts = np.maximum(self._maxima[0], self.cuts)
        self._chunks = [_cut(chunk, self.cuts) for chunk in self._chunks]


def _narrow(counts: np.ndarray) -> np.ndarray:
    """The smallest signed integers that hold the values."""
    highest = int(np.abs(counts).max())
    return counts.astype(next(dtype for dtype in (np.int8, np.int16, np.int32) if highest <= np.iinfo(dtype).max))


def _cut(entries: Entries, cuts: np.ndarray) -> Entries:
    """Without those below the cut of their class."""
    from efficient_sed.metrics.psds._sweep import reaches_cut

    is_kept = reaches_cut(entries.pairs, entries.scores, cuts)
    return entries if is_kept.all() else Entries(*(array[is_kept] for array in entries))
