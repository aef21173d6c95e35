"""Clips as flat columns, made into objects on access.

Two million clips as Python objects are two gigabytes, of which every data worker would end up with a copy, because
reading an object writes its reference count. Columns lie in arrays, or stay in a file.
"""

from __future__ import annotations

import abc
import copy
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, compress, islice, pairwise
from operator import eq
from typing import NamedTuple, overload

import numpy as np

from efficient_sed.data.events import STRONG, Clip, Event, Group, Kind
from efficient_sed.data.storage.sources import AudioSource

BLOCK = 4096  # clips that are looked at together


class ClipColumns(abc.ABC):
    """A data set's clips by row.

    Columns are `id`, `duration_s`, `event_first` (one more than clips), `event_onset_s`, `event_offset_s`,
    `event_class`.

    Attributes:
        labels: What the numbers in `event_class` stand for.
        group: Kind, subset and annotated classes of all its clips; soft ones have no place here.
    """

    labels: Sequence[str]
    group: Group = STRONG

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
        onsets_s, offsets_s = (self.read(name, low, high).tolist() for name in ("event_onset_s", "event_offset_s"))
        events = list(map(Event, onsets_s, offsets_s, labels))
        durations_s, sources = self.read("duration_s", first, last).tolist(), self.sources(ids, first, last)
        return [
            Clip(name, source, duration_s, tuple(events[begin - low : end - low]), *self.group)
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
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]  # as a list

    def runs(self) -> Iterator[tuple[int, int]]:
        """Its rows in order, as ranges of at most BLOCK consecutive ones."""
        for begin in range(0, len(self.rows), BLOCK):
            rows = np.asarray(self.rows[begin : begin + BLOCK])
            breaks = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
            for low, high in pairwise(breaks):
                yield int(rows[low]), int(rows[high - 1]) + 1


class JoinedParts(Sequence[Clip]):
    """Several parts one after the other, each kept as it is."""

    def __init__(self, parts: Iterable[Sequence[Clip]]) -> None:
        self.parts = tuple(parts)
        self._first = np.cumsum([0, *map(len, self.parts)])

    def __len__(self) -> int:
        return int(self._first[-1])

    @overload
    def __getitem__(self, index: int) -> Clip: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Clip, ...]: ...
    def __getitem__(self, index: int | slice) -> Clip | tuple[Clip, ...]:
        if isinstance(index, slice):
            return tuple(self[number] for number in range(*index.indices(len(self))))
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        part = int(np.searchsorted(self._first, number, side="right")) - 1
        return self.parts[part][number - int(self._first[part])]

    def __iter__(self) -> Iterator[Clip]:
        return chain.from_iterable(self.parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]  # as a list


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
    """Yield a part block by block. `labels` numbers the labels; those that it lacks are added."""
    if isinstance(clips, JoinedParts):
        for part in clips.parts:
            yield from iterate_blocks(part, labels)
        return
    if isinstance(clips, ColumnPart):
        numbers = np.array([labels.setdefault(label, len(labels)) for label in clips.columns.labels])
        for first, last in clips.runs():
            bounds = clips.columns.read("event_first", first, last + 1)
            label, onset_s, offset_s = (
                clips.columns.read(name, int(bounds[0]), int(bounds[-1]))
                for name in ("event_class", "event_onset_s", "event_offset_s")
            )
            clip = np.repeat(np.arange(last - first), np.diff(bounds))
            yield Block(clips.columns.read("duration_s", first, last), clip, numbers[label], onset_s, offset_s)
        return
    remaining = iter(clips)
    while block := list(islice(remaining, BLOCK)):
        events = [
            (number, labels.setdefault(event.label, len(labels)), event.onset_s, event.offset_s)
            for number, clip in enumerate(block)
            for event in clip.events
        ]
        clip_number, label_number, onset_s, offset_s = np.array(events, dtype=np.float64).reshape(-1, 4).T
        clip, label = clip_number.astype(np.int64), label_number.astype(np.int64)
        yield Block(durations(block), clip, label, onset_s, offset_s)


def durations(clips: Sequence[Clip]) -> np.ndarray:
    """Seconds of each clip, shape (clips,)."""
    if isinstance(clips, JoinedParts):
        return np.concatenate([np.zeros(0), *map(durations, clips.parts)])
    if isinstance(clips, ColumnPart):
        ranges = (clips.columns.read("duration_s", first, last) for first, last in clips.runs())
        return np.concatenate([np.zeros(0), *ranges])
    return np.array([clip.duration_s for clip in clips], dtype=np.float64)


def select(clips: Sequence[Clip], is_kept: Iterable[bool]) -> Sequence[Clip]:
    """Choose clips of a part by a mask."""
    if isinstance(clips, JoinedParts):
        remaining = iter(is_kept)
        return JoinedParts([select(part, list(islice(remaining, len(part)))) for part in clips.parts])
    if isinstance(clips, ColumnPart):
        return ColumnPart(clips.columns, np.asarray(clips.rows)[np.fromiter(is_kept, dtype=bool)])
    return tuple(compress(clips, is_kept))


def group_clips(clips: Sequence[Clip]) -> tuple[list[Group], np.ndarray]:
    """Find the groups in a part, in order of their first clips, and the number of each clip's, shape (clips,)."""
    if isinstance(clips, ColumnPart):
        return [clips.columns.group], np.zeros(len(clips), dtype=np.int16)
    number: dict[Group, int] = {}
    if isinstance(clips, JoinedParts):
        numbers = [np.zeros(0, dtype=np.int16)]
        for groups, own in map(group_clips, clips.parts):
            renamed = [number.setdefault(group, len(number)) for group in groups]
            numbers.append(np.array(renamed, dtype=np.int16)[own])
        return list(number), np.concatenate(numbers)
    own = np.fromiter((number.setdefault(clip.group, len(number)) for clip in clips), dtype=np.int16)
    return list(number), own


def with_annotated(clips: Sequence[Clip], classes: tuple[str, ...]) -> Sequence[Clip]:
    """Name the classes that count for those clips of a part for which all do."""
    if isinstance(clips, JoinedParts):
        return JoinedParts([with_annotated(part, classes) for part in clips.parts])
    if isinstance(clips, ColumnPart):
        if clips.columns.group.annotated is not None:
            return clips
        columns = copy.copy(clips.columns)
        columns.group = columns.group._replace(annotated=classes)
        return ColumnPart(columns, clips.rows)
    return tuple(clip if clip.annotated is not None else replace(clip, annotated=classes) for clip in clips)


def of_kinds(clips: Sequence[Clip], kinds: Collection[Kind]) -> Sequence[Clip]:
    """Those clips of a part that are of certain kinds."""
    groups, number = group_clips(clips)
    is_kept = np.array([group.kind in kinds for group in groups], dtype=bool)
    return clips if is_kept.all() else select(clips, is_kept[number])
