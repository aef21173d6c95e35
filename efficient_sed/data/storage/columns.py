"""Clips as flat columns, made into objects one at a time when they are asked for.

Two million clips as Python objects are two gigabytes, of which every data worker ends up with a copy: looking at an
object writes its count of
references. Columns lie in arrays, or stay in a file; a process holds the clips of one batch.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress, islice, pairwise
from typing import NamedTuple, overload

import numpy as np

from efficient_sed.data.events import Clip, Event
from efficient_sed.data.storage.sources import AudioSource

BLOCK = 4096  # clips that are looked at together


class ClipColumns(abc.ABC):
    """A data set's clips by row.

    Columns are `id`, `duration_s`, `event_first` (one more than clips), `event_onset_s`, `event_offset_s`,
    `event_class`.

    Attributes:
        labels: What the numbers in `event_class` stand for.
    """

    labels: Sequence[str]

    @abc.abstractmethod
    def read(self, name: str, first: int, last: int) -> np.ndarray:
        """A range of one column.

        Raises:
            DataError: If it cannot be read.
        """

    @abc.abstractmethod
    def sources(self, ids: Sequence[str], first: int, last: int) -> Iterable[AudioSource]:
        """Where the audio of a range of clips comes from."""

    def clips(self, first: int, last: int) -> list[Clip]:
        """A range of clips."""
        ids = [name.decode() for name in self.read("id", first, last).tolist()]
        bounds = self.read("event_first", first, last + 1).tolist()
        low, high = bounds[0], bounds[-1]
        labels = [self.labels[number] for number in self.read("event_class", low, high).tolist()]
        events = list(
            map(
                Event,
                self.read("event_onset_s", low, high).tolist(),
                self.read("event_offset_s", low, high).tolist(),
                labels,
            )
        )
        durations_s, sources = self.read("duration_s", first, last).tolist(), self.sources(ids, first, last)
        return [
            Clip(name, source, duration_s, tuple(events[begin - low : end - low]))
            for name, source, duration_s, begin, end in zip(ids, sources, durations_s, bounds, bounds[1:], strict=False)
        ]


class ColumnPart(Sequence[Clip]):
    """Some rows of columns, in an order of their own.

    Args:
        rows: Numbers of rows; consecutive ones take no memory.
    """

    def __init__(self, columns: ClipColumns, rows: range | np.ndarray) -> None:
        self.columns = columns
        if isinstance(rows, np.ndarray) and len(rows) and (np.diff(rows) == 1).all():
            rows = range(int(rows[0]), int(rows[-1]) + 1)
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Clip: ...
    @overload
    def __getitem__(self, index: slice) -> ColumnPart: ...
    def __getitem__(self, index: int | slice) -> Clip | ColumnPart:
        if isinstance(index, slice):
            return ColumnPart(self.columns, self.rows[index])
        row = int(self.rows[index])
        return self.columns.clips(row, row + 1)[0]

    def __iter__(self) -> Iterator[Clip]:
        for first, last in self.runs():
            yield from self.columns.clips(first, last)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ColumnPart) and self.columns is other.columns:
            return np.array_equal(self.rows, other.rows)
        return (
            isinstance(other, Sequence)
            and len(self) == len(other)
            and all(own == its for own, its in zip(self, other, strict=True))
        )

    __hash__ = None  # type: ignore[assignment]  # as a list

    def runs(self) -> Iterator[tuple[int, int]]:
        """Its rows in order, as ranges of at most BLOCK consecutive ones."""
        for begin in range(0, len(self.rows), BLOCK):
            rows = np.asarray(self.rows[begin : begin + BLOCK])
            breaks = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
            for low, high in pairwise(breaks):
                yield int(rows[low]), int(rows[high - 1]) + 1


class Block(NamedTuple):
    """Some consecutive clips of a part and their events, as arrays."""

    duration_s: np.ndarray
    """Shape (clips,)."""
    clip: np.ndarray
    """Of each event, which of these clips it is in, shape (events,)."""
    label: np.ndarray
    """Of each event, the number of its label."""
    onset_s: np.ndarray
    offset_s: np.ndarray


def iterate_blocks(clips: Sequence[Clip], labels: dict[str, int]) -> Iterator[Block]:
    """A part block by block, for what counts over all clips.

    Args:
        clips: The part.
        labels: Number of each label; labels that are met are added.
    """
    if isinstance(clips, ColumnPart):
        numbers = np.array([labels.setdefault(label, len(labels)) for label in clips.columns.labels])
        for first, last in clips.runs():
            bounds = clips.columns.read("event_first", first, last + 1)
            label, onset_s, offset_s = (
                clips.columns.read(name, int(bounds[0]), int(bounds[-1]))
                for name in ("event_class", "event_onset_s", "event_offset_s")
            )
            yield Block(
                clips.columns.read("duration_s", first, last),
                np.repeat(np.arange(last - first), np.diff(bounds)),
                numbers[label],
                onset_s,
                offset_s,
            )
        return
    remaining = iter(clips)
    while block := list(islice(remaining, BLOCK)):
        events = [
            (number, labels.setdefault(event.label, len(labels)), event.onset_s, event.offset_s)
            for number, clip in enumerate(block)
            for event in clip.events
        ]
        columns = np.array(events, dtype=np.float64).reshape(-1, 4).T
        yield Block(
            np.array([clip.duration_s for clip in block]),
            columns[0].astype(np.int64),
            columns[1].astype(np.int64),
            columns[2],
            columns[3],
        )


def durations(clips: Sequence[Clip]) -> np.ndarray:
    """Seconds of each clip, shape (clips,)."""
    if isinstance(clips, ColumnPart):
        return np.concatenate(
            [np.zeros(0), *(clips.columns.read("duration_s", first, last) for first, last in clips.runs())]
        )
    return np.array([clip.duration_s for clip in clips], dtype=np.float64)


def select(clips: Sequence[Clip], is_kept: Iterable[bool]) -> Sequence[Clip]:
    """Those of a part for which it holds, in their order."""
    if isinstance(clips, ColumnPart):
        return ColumnPart(clips.columns, np.asarray(clips.rows)[np.fromiter(is_kept, dtype=bool)])
    return tuple(compress(clips, is_kept))
