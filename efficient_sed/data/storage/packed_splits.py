"""Reading the tables of a packed data set: one HDF5 file, or a folder of `index.h5` and shards of samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.data.events import PARTS, Overhang, Splits
from efficient_sed.data.labels import label_problem
from efficient_sed.data.storage.columns import ColumnPart
from efficient_sed.data.storage.packed_audio import PackedColumns
from efficient_sed.data.storage.packed_file import INDEX_NAME, SHARD_NAME, PackedFile, PackedPath, open_packed
from efficient_sed.errors import DataError
from efficient_sed.files.json import parse_json

ROUNDING_S = 1e-6
BLOCK = 1 << 16  # entries of a column that are looked at together
COLUMNS = {
    "id": "S", "digest": "S", "duration_s": "f", "first": "i", "length": "i", "scale": "f", "crc32": "i",
    "event_first": "i", "event_onset_s": "f", "event_offset_s": "f", "event_class": "i",
}  # fmt: skip
"""Data sets of an index, and their kinds as numpy names them."""


def load_packed(root: Path) -> Splits:
    """Clips of a packed data set by part; its tables are checked, its samples are not read.

    Args:
        root: The file, or the folder of an index and shards.

    Raises:
        DataError: If there is none, or its tables are damaged or do not fit together.
    """
    path = root / INDEX_NAME if root.is_dir() else root
    if not path.is_file():
        lacks = f"no {INDEX_NAME} in this folder" if root.is_dir() else "no such file"
        raise DataError(f"data.root={root}: {lacks}; write it with: efficient-sed data pack data=… {root}")
    file, index = open_packed(path)
    try:
        if "samples" in file.places:
            return _read_splits(file, index, [(file, index)])
        names = map(SHARD_NAME.format, range(file.places["shard_first"].length))
        return _read_splits(file, index, [_open_shard(root / name, file) for name in names])
    except (OSError, LookupError, ValueError, TypeError, RecursionError) as error:
        raise DataError(f"{path}: damaged ({' '.join(str(error).split())}); pack the data set again") from error


def _open_shard(path: Path, index: PackedFile) -> tuple[PackedFile, PackedPath]:
    if not path.is_file():
        raise DataError(f"{path}: no such file, though {INDEX_NAME} names it; copy the folder again")
    file, shard = open_packed(path)
    if file.attributes.get("manifest_hash") != index.attributes.get("manifest_hash"):
        raise DataError(f"{path}: belongs to another packed data set than {INDEX_NAME}; copy the folder again")
    return file, shard


def _read_splits(file: PackedFile, index: PackedPath, shards: Sequence[tuple[PackedFile, PackedPath]]) -> Splits:
    classes = _texts(file, "classes")
    if problem := label_problem(classes):
        raise ValueError(problem)
    shard_first = _whole(file, "shard_first") if "shard_first" in file.places else np.zeros(1, dtype=np.int64)
    places = [shard.places["samples"] for shard, _ in shards]
    if any(place.dtype != np.int16 for place in places) or np.any(
        shard_first != np.cumsum([0, *(place.length for place in places)])[: len(shard_first)]
    ):
        raise ValueError("its files of samples do not follow on each other")
    _check_columns(file, len(classes))
    _check_clips(file, shard_first, np.array([place.length for place in places]))
    _check_events(file)
    columns = PackedColumns(index, classes, [path for _, path in shards], shard_first)
    train, validation, test = (ColumnPart(columns, _rows(file, part)) for part in PARTS)
    is_trained_on = _marked(file, np.asarray(train.rows))
    if any(is_trained_on[np.asarray(part.rows)].any() for part in (validation, test)):
        raise ValueError("a clip is in train and in another part")
    evaluated_classes = _texts(file, "evaluated_classes") if "evaluated_classes" in file.places else None
    if not set(evaluated_classes or ()) <= set(classes):
        raise ValueError("evaluated_classes holds others than classes")
    expected, known_hash = parse_json(file.attributes["expected"]), file.attributes.get("manifest_hash")
    cut = dict(parse_json(file.attributes.get("overhang", "{}")))
    overhang = {part: Overhang(int(num), int(dropped), float(over_s)) for part, (num, dropped, over_s) in cut.items()}
    return Splits(
        classes, train, validation, test, evaluated_classes=evaluated_classes, expected=expected, known_hash=known_hash,
        overhang=overhang,
    )  # fmt: skip


def _rows(file: PackedFile, part: str) -> np.ndarray:
    """Which clips a part has."""
    rows = _whole(file, part)
    if rows.dtype.kind != "i" or (len(rows) and not 0 <= rows.min() <= rows.max() < file.places["id"].length):
        raise ValueError(f"{part} names clips that are not there")
    if np.count_nonzero(_marked(file, rows)) < len(rows):
        raise ValueError(f"{part} names a clip twice")
    return rows


def _marked(file: PackedFile, rows: np.ndarray) -> np.ndarray:
    """Mask of these clips, shape (clips,)."""
    marked = np.zeros(file.places["id"].length, dtype=bool)
    marked[rows] = True
    return marked


def _blocks(length: int) -> Iterator[tuple[int, int]]:
    """Ranges of BLOCK entries, so that a column is never in memory as a whole."""
    for first in range(0, length, BLOCK):
        yield first, min(length, first + BLOCK)


def _check_columns(file: PackedFile, num_classes: int) -> None:
    """Raise a ValueError unless the columns fit together: clips are made much later, in other processes."""
    for name, kind in COLUMNS.items():
        if file.places[name].dtype.kind != kind:
            raise ValueError(f"{name!r} holds entries of type {file.places[name].dtype}")
    num_clips, num_events = file.places["id"].length, file.places["event_class"].length
    lengths = (
        dict.fromkeys(COLUMNS, num_clips)
        | dict.fromkeys(("event_class", "event_onset_s", "event_offset_s"), num_events)
        | {"event_first": num_clips + 1}
    )
    for name, length in lengths.items():
        if file.places[name].length != length:
            raise ValueError(
                f"{name!r} has {file.places[name].length} entries for {num_clips} clips and {num_events} events"
            )
    if file.read("event_first", 0, 1)[0] != 0 or file.read("event_first", num_clips, num_clips + 1)[0] != num_events:
        raise ValueError("its events do not belong to its clips")
    for first, last in _blocks(num_clips):
        if (np.diff(file.read("event_first", first, last + 1)) < 0).any():
            raise ValueError("its events do not belong to its clips")
        for name in ("id", "digest"):
            file.read(name, first, last).tobytes().decode()
    for first, last in _blocks(num_events):
        numbers = file.read("event_class", first, last)
        if not 0 <= numbers.min() <= numbers.max() < num_classes:
            raise ValueError(f"an event is of a class beyond the {num_classes}")


def _check_clips(file: PackedFile, shard_first: np.ndarray, shard_length: np.ndarray) -> None:
    """Raise a ValueError unless every clip lies within the samples of one file, and is as long as it says."""
    for rows in _blocks(file.places["id"].length):
        first, length, scale, duration_s = (
            file.read(name, *rows) for name in ("first", "length", "scale", "duration_s")
        )
        shards = np.maximum(np.searchsorted(shard_first, first, side="right") - 1, 0)
        is_inside = (length >= 1) & (first >= 0) & (first - shard_first[shards] <= shard_length[shards] - length)
        if not is_inside.all():
            raise ValueError("a clip is not within the samples")
        is_as_long = np.abs(length / SAMPLE_RATE - duration_s) <= 2 / SAMPLE_RATE
        if not (is_as_long & np.isfinite(scale) & (scale >= 1)).all():
            raise ValueError("a clip's scale is below 1, or it is not as long as its duration")


def _check_events(file: PackedFile) -> None:
    """Raise a ValueError unless every event lies within its clip."""
    for first, last in _blocks(file.places["id"].length):
        bounds = file.read("event_first", first, last + 1)
        onset_s, offset_s = (
            file.read(name, int(bounds[0]), int(bounds[-1])) for name in ("event_onset_s", "event_offset_s")
        )
        end_s = np.repeat(file.read("duration_s", first, last), np.diff(bounds))
        if not ((onset_s >= 0) & (onset_s < offset_s) & (offset_s <= end_s + ROUNDING_S)).all():
            raise ValueError("an event is not within its clip")


def _whole(file: PackedFile, name: str) -> np.ndarray:
    return file.read(name, 0, file.places[name].length)


def _texts(file: PackedFile, name: str) -> tuple[str, ...]:
    if file.places[name].dtype.kind != "S":
        raise ValueError(f"{name!r} holds entries of type {file.places[name].dtype}")
    return tuple(text.decode() for text in _whole(file, name).tolist())
