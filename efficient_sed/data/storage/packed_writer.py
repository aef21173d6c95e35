"""The files of a packed data set, written clip by clip in memory that does not grow with the samples."""

from __future__ import annotations

import itertools
import json
import math
import zlib
from array import array
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.data.events import PARTS, Clip, Splits
from efficient_sed.data.storage.packed_file import FORMAT, INDEX_NAME, SHARD_NAME, VERSION
from efficient_sed.data.storage.sources import AudioSource

INT16 = "int16:"  # before the digest of what was packed: another content than the original's, but one that goes with it
BLOCK = 4096  # rows that are written together


class DistinctClips:
    """The clips of all parts, each once, in order; parts may share some."""

    def __init__(self, splits: Splits) -> None:
        self._splits = splits
        hashes = np.fromiter((hash(clip) for part in PARTS for clip in getattr(splits, part)), dtype=np.int64)
        _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
        self._is_first = np.zeros(len(hashes), dtype=bool)
        self._is_first[first] = True
        numbers = (np.cumsum(self._is_first) - 1)[first[inverse]]
        ends = np.cumsum([len(getattr(splits, part)) for part in PARTS])
        self.part_numbers = dict(zip(PARTS, np.split(numbers, ends[:-1]), strict=True))
        """By part, which of these clips it has."""

    def __len__(self) -> int:
        return int(self._is_first.sum())

    def __iter__(self) -> Iterator[Clip]:
        return itertools.compress((clip for part in PARTS for clip in getattr(self._splits, part)), self._is_first)

    def capacity(self) -> int:
        """Samples that they take at most."""
        return sum(math.ceil(clip.duration_s * SAMPLE_RATE) + 1 for clip in self)


class PackedWriter:
    """Takes samples clip by clip, then writes the tables.

    Args:
        folder: Where index and shards lie; without shards the index holds the samples.
        capacity: Samples of all clips together, at most.
        shard_samples: Largest number of samples of one file; None for one file of everything.
        watched: Numbers of clips to keep in `origins`.
    """

    def __init__(self, folder: Path, capacity: int, shard_samples: int | None, watched: Collection[int] = ()) -> None:
        self.folder, self._capacity, self._shard_samples, self._watched = folder, capacity, shard_samples, watched
        self._number, self._first, self._length, self._crc32, self._shard_first = (array("q") for _ in range(5))
        self._scale = array("d")
        self.origins: list[tuple[int, AudioSource]] = []
        """Rows of the watched clips, and where they came from."""
        self._file: Any = None
        self._samples: Any = np.zeros(0)  # of the open file
        self._end = 0  # in it

    def __len__(self) -> int:
        return len(self._number)

    @property
    def paths(self) -> list[Path]:
        """The files of samples."""
        return [
            self.folder / (INDEX_NAME if self._shard_samples is None else SHARD_NAME.format(number))
            for number in range(len(self._shard_first))
        ]

    def append(self, number: int, clip: Clip, samples: np.ndarray, scale: float) -> None:
        """Write 16-bit samples of a clip, which is the next row."""
        if self._end + len(samples) > len(self._samples):
            self._open_next(len(samples))
        self._samples[self._end : self._end + len(samples)] = samples
        if number in self._watched:
            self.origins.append((len(self), clip.audio))
        self._number.append(number)
        self._first.append(self._shard_first[-1] + self._end)
        self._length.append(len(samples))
        self._crc32.append(zlib.crc32(samples.tobytes()))
        self._scale.append(scale)
        self._end += len(samples)
        self._capacity -= len(samples)

    def close(self) -> None:
        """Close the file of samples."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def write_tables(self, splits: Splits, clips: DistinctClips) -> None:
        """Write the index, after the last clip."""
        self.close()
        with h5py.File(self.folder / INDEX_NAME, "a") as file:
            file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
            file.attrs["overhang"] = json.dumps(dict(splits.overhang))
            file.attrs["expected"] = json.dumps(None if splits.expected is None else dict(splits.expected))
            file["classes"] = _bytes(splits.classes)
            if splits.evaluated_classes is not None:
                file["evaluated_classes"] = _bytes(splits.evaluated_classes)
            if self._shard_samples is not None:
                file["shard_first"] = np.array(self._shard_first)
            file["first"], file["length"] = np.array(self._first), np.array(self._length)
            file["scale"], file["crc32"] = np.array(self._scale), np.array(self._crc32)
            is_kept = np.zeros(len(clips), dtype=bool)
            is_kept[self._number] = True
            row = np.cumsum(is_kept) - 1
            for part, numbers in clips.part_numbers.items():
                file[part] = row[numbers[is_kept[numbers]]]
            _write_clips(file, splits, lambda: itertools.compress(clips, is_kept))

    def sign(self, manifest_hash: str) -> None:
        """Write the data set's hash into every file: it shows that they belong together, and is computed once."""
        for path in {*self.paths, self.folder / INDEX_NAME}:
            with h5py.File(path, "a") as file:
                file.attrs["manifest_hash"] = manifest_hash

    def _open_next(self, length: int) -> None:
        """Open another file that holds at least so many samples."""
        if self._shard_samples is None and self._shard_first:
            raise RuntimeError("clips are longer than the data set says")
        self._shard_first.append(self._shard_first[-1] + len(self._samples) if self._shard_first else 0)
        self.close()
        self._file = h5py.File(self.paths[-1], "w")
        self._file.attrs["format"], self._file.attrs["version"] = FORMAT, VERSION
        size = self._capacity if self._shard_samples is None else max(length, min(self._shard_samples, self._capacity))
        self._samples, self._end = self._file.create_dataset("samples", (size,), dtype=np.int16), 0


def _write_clips(file: Any, splits: Splits, kept: Any) -> None:
    """Write names, contents and events of clips, in two passes: columns in a file have a fixed size."""
    num_clips, num_events, widths = 0, 0, {"id": 1, "digest": 1}
    for clip in kept():
        num_clips, num_events = num_clips + 1, num_events + len(clip.events)
        widths = {"id": max(widths["id"], len(clip.id.encode())), "digest": max(widths["digest"], len(_digest(clip)))}
    types = {"id": f"S{widths['id']}", "digest": f"S{widths['digest']}", "duration_s": "f8"}
    columns = {name: file.create_dataset(name, (num_clips,), dtype) for name, dtype in types.items()}
    events = {
        name: file.create_dataset(name, (num_events,), dtype)
        for name, dtype in (("event_onset_s", "f8"), ("event_offset_s", "f8"), ("event_class", "i4"))
    }
    number = {label: index for index, label in enumerate(splits.classes)}
    counts = array("q", [0])
    remaining, first, first_event = iter(kept()), 0, 0
    while block := list(itertools.islice(remaining, BLOCK)):
        inside = [event for clip in block for event in clip.events]
        counts.extend(len(clip.events) for clip in block)
        rows, event_rows = slice(first, first + len(block)), slice(first_event, first_event + len(inside))
        for name, values in {
            "id": [clip.id.encode() for clip in block],
            "digest": list(map(_digest, block)),
            "duration_s": [clip.duration_s for clip in block],
        }.items():
            columns[name][rows] = np.array(values, dtype=types[name])
        if inside:
            events["event_onset_s"][event_rows] = [event.onset_s for event in inside]
            events["event_offset_s"][event_rows] = [event.offset_s for event in inside]
            events["event_class"][event_rows] = [number[event.label] for event in inside]
        first, first_event = rows.stop, event_rows.stop
    file["event_first"] = np.cumsum(counts)


def _digest(clip: Clip) -> bytes:
    return (INT16 + clip.audio.content_hash().removeprefix(INT16)).encode()


def _bytes(texts: Iterable[str]) -> np.ndarray:
    encoded = [text.encode() for text in texts]
    return np.array(encoded, dtype=f"S{max(map(len, encoded), default=1) or 1}")
