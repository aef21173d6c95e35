"""Entries of the threshold sweep, of all clips, without those that no threshold within the cut can reach.

Every clip without events of a class whose highest score reaches a threshold holds at least one false alarm there. So
where more than `max_alarms` such clips do, every threshold from there down lies beyond the cut, whatever the other
clips add. That bound only rises as clips come in, so that entries below it can go at once. It needs no order of the
clips and stays exact with ties.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from efficient_sed.data.events import Event
from efficient_sed.metrics.psds.parameters import PsdsParameters
from efficient_sed.metrics.psds.roc import max_alarms

BUFFER = 2**18
LOWEST = float(np.finfo(np.float64).min)  # a score of minus infinity is never active
SPREAD = 8.0  # standard deviations of a resampled count that the margin covers
MIN_REFRESH = 64  # clips between two looks at the bound


class Entries(NamedTuple):
    """Changes of the counts, from thresholds of `scores` downwards."""

    classes: np.ndarray
    scores: np.ndarray
    hits: np.ndarray
    alarms: np.ndarray
    clips: np.ndarray
    """Which clip, in order of arrival."""


class PsdsEntries:
    """Grows by clips; see above.

    Args:
        column: Number of each class.
        durations: Lengths in seconds of the clips that may come.
        keeps_clips: Keep so much below the bound that it holds for clips drawn with replacement, too, but for a
            probability below 1e-12.
    """

    def __init__(
        self, column: Mapping[str, int], durations: Sequence[float], parameters: PsdsParameters, *, keeps_clips: bool
    ) -> None:
        self._column, self._parameters, max_efpr = column, parameters, parameters.max_efpr
        self.num_clips = 0
        self._keep = max_alarms(math.fsum(durations), max_efpr) + 1
        if keeps_clips:
            longer = SPREAD * math.sqrt(len(durations)) * float(np.std(durations))
            drawn = max_alarms(math.fsum(durations) + longer, max_efpr) + 1
            self._keep = math.ceil(drawn + SPREAD * math.sqrt(drawn)) + 32
        self.cuts = np.full(len(column), LOWEST)
        """Lowest score of each class that still matters."""
        self._maxima: list[np.ndarray] = []
        """Highest scores of clips without events of the class, each (clips, classes); only the highest are kept."""
        self._num_maxima = 0
        self._next_refresh = self._keep
        self._chunks: list[Entries] = []
        self._buffer: Entries | None = None
        self._filled = 0
        self._is_single = True  # what lies in the buffer are numbers of float32

    def add_clip(
        self, scores: np.ndarray, events: Sequence[Event], borders: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Sweep a clip's scores (frames, classes), whose frames lie between `borders` in seconds.

        Events of a class are apart.

        Returns:
            Classes that occur and how often. None, and nothing is added, if a score is NaN or plus infinity.
        """
        from efficient_sed.metrics.psds._sweep import column_maxima, sweep_clip

        maxima = np.empty(len(self.cuts), scores.dtype)
        if not column_maxima(scores, maxima):
            return None
        by_column = sorted((self._column[event.label], event.onset_s, event.offset_s) for event in events)
        columns = np.array([column for column, _, _ in by_column], dtype=np.int64)
        onsets, offsets = (np.array([event[field] for event in by_column], dtype=np.float64) for field in (1, 2))
        counts = np.bincount(columns, minlength=len(self.cuts))
        first_event = np.append(0, counts.cumsum())
        T, C = scores.shape
        if self._buffer is None or len(self._buffer.classes) < T:
            self._flush()
            size = max(BUFFER, T)
            dtypes = (np.int32, np.float64, np.int32, np.int32, np.int32)
            self._buffer = Entries(*(np.empty(size, dtype) for dtype in dtypes))
        self._is_single &= scores.dtype == np.float32
        begin, buffer = 0, self._buffer
        while begin < C:
            first = self._filled
            begin, self._filled = sweep_clip(
                scores, maxima, self.cuts, borders, first_event, onsets, offsets,
                self._parameters.dtc, self._parameters.gtc,
                begin, first, buffer.classes, buffer.scores, buffer.hits, buffer.alarms,
            )  # fmt: skip
            buffer.clips[first : self._filled] = self.num_clips
            if begin < C:
                self._flush()
                self._is_single = scores.dtype == np.float32
        self.num_clips += 1
        row = maxima.astype(np.float64)
        row[columns] = -np.inf
        self._add_maxima(row[None])
        occurring = np.flatnonzero(counts)
        return occurring.astype(np.int32), counts[occurring].astype(np.int32)

    def merge(self, other: PsdsEntries) -> None:
        """Take over what another one holds."""
        self._chunks += [chunk._replace(clips=chunk.clips + self.num_clips) for chunk in other.chunks()]
        self.num_clips += other.num_clips
        for maxima in other._maxima:
            self._add_maxima(maxima)

    def chunks(self) -> list[Entries]:
        """All entries that are left, in no order."""
        self._flush()
        return self._chunks

    def by_class(self) -> Iterator[Entries]:
        """Entries of class after class, by descending score."""
        chunks = self.chunks() or [
            Entries(*(np.zeros(0, dtype) for dtype in (np.int32, np.float32, np.int8, np.int8, np.int32)))
        ]
        joined = Entries(*map(np.concatenate, zip(*chunks, strict=True)))
        order = np.argsort(joined.classes, kind="stable")
        borders = np.searchsorted(joined.classes[order], np.arange(len(self.cuts) + 1))
        for first, last in itertools.pairwise(borders):
            own = order[first:last]
            own = own[np.argsort(-joined.scores[own], kind="stable")]
            yield Entries(*(array[own] for array in joined))

    def __getstate__(self) -> dict[str, Any]:
        self._flush()
        return self.__dict__ | {"_buffer": None}

    def _flush(self) -> None:
        """Pack what the buffer holds."""
        if self._buffer is not None and self._filled:
            classes, scores, hits, alarms, clips = (array[: self._filled] for array in self._buffer)
            classes = classes.astype(np.min_scalar_type(len(self.cuts)))
            scores = scores.astype(np.float32 if self._is_single else np.float64)
            self._chunks.append(Entries(classes, scores, _narrow(hits), _narrow(alarms), clips.copy()))
        self._filled, self._is_single = 0, True

    def _add_maxima(self, maxima: np.ndarray) -> None:
        self._maxima.append(maxima)
        self._num_maxima += len(maxima)
        if self._num_maxima < self._next_refresh:
            return
        joined = np.concatenate(self._maxima)
        joined.partition(len(joined) - self._keep, axis=0)
        self._maxima = [joined[-self._keep :].copy()]
        self._num_maxima = self._keep
        self._next_refresh = self._keep + max(MIN_REFRESH, self._keep // 4)
        self.cuts = np.maximum(self._maxima[0][0], self.cuts)
        self._chunks = [_cut(chunk, self.cuts) for chunk in self._chunks]


def _narrow(counts: np.ndarray) -> np.ndarray:
    """The smallest signed integers that hold the values."""
    highest = int(np.abs(counts).max())
    return counts.astype(next(dtype for dtype in (np.int8, np.int16, np.int32) if highest <= np.iinfo(dtype).max))


def _cut(entries: Entries, cuts: np.ndarray) -> Entries:
    """Without those below the cut of their class; the arrays given are written over."""
    from efficient_sed.metrics.psds._sweep import move_up

    kept = move_up(*entries, cuts)
    return entries if kept == len(entries.scores) else Entries(*(array[:kept].copy() for array in entries))
