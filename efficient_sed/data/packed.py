"""A packed copy of a data set, one HDF5 file that `efficient-sed data pack` writes: 16 kHz samples, events and parts, for training without decoding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from efficient_sed._json import parse_json
from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.config.schema import DataConfig
from efficient_sed.data._containers import HDF5_ERRORS, forget, open_hdf5, opened, read_whole, stored_data, texts
from efficient_sed.data.events import PARTS, Clip, Event, Splits
from efficient_sed.data.labels import label_problem
from efficient_sed.data.sources import AudioSource
from efficient_sed.errors import DataError
from efficient_sed.registry import DATASETS

FORMAT, VERSION = "efficient_sed packed", 1
PEAK = 32767.0
CLIP_TABLES = ("first", "length", "scale", "duration_s")
EVENT_TABLES = ("event_onset_s", "event_offset_s", "event_class")


@dataclass(frozen=True)
class PackedAudio(AudioSource):
    """A range of samples of a packed file."""

    path: Path
    first: int
    length: int
    scale: float
    """Value of the largest 16-bit sample; above 1 for clips that a decoder takes beyond full scale."""
    clip_id: str
    digest: str

    def __str__(self) -> str:
        return f"{self.path}: {self.clip_id}"

    def check_rate(self, sample_rate: int) -> None:
        if sample_rate != SAMPLE_RATE:
            raise DataError(f"{self.path}: packed at {SAMPLE_RATE} Hz, the model hears {sample_rate} Hz; give data=… and data.root=DIR of the recordings themselves")

    def read(self, start_s: float = 0.0, duration_s: float | None = None, sample_rate: int = SAMPLE_RATE) -> Tensor:
        self.check_rate(sample_rate)
        begin = round(start_s * SAMPLE_RATE)
        end = self.length if duration_s is None else min(self.length, begin + round(duration_s * SAMPLE_RATE))
        if not 0 <= begin < end:
            raise DataError(f"{self}: no audio at {start_s:g} s (the clip has {self.length / SAMPLE_RATE:g} s)")
        try:
            samples = opened(self.path, "packed", open_packed)["samples"][self.first + begin : self.first + end]
        except HDF5_ERRORS as error:
            raise DataError(f"{self}: damaged ({' '.join(str(error).split())}); pack the data set again") from error
        return torch.from_numpy(np.multiply(samples, self.scale / PEAK, dtype=np.float32))

    def content_hash(self) -> str:
        return self.digest


@DATASETS.register("packed")
@dataclass(frozen=True)
class PackedConfig(DataConfig):
    """A data set as `efficient-sed data pack` wrote it: the same classes, clips, events and parts."""

    root: str = "packed.h5"
    """The file."""

    def load(self) -> Splits:
        path = Path(self.root)
        if not path.is_file():
            raise DataError(f"data.root={self.root}: no such file; write it with: efficient-sed data pack data=… {self.root}")
        forget(path)
        try:
            with open_packed(path) as file:
                return read_packed(path, file)
        except HDF5_ERRORS as error:
            raise DataError(f"{path}: damaged ({' '.join(str(error).split())}); pack the data set again") from error


def open_packed(path: Path) -> Any:
    """A packed file for reading.

    Raises:
        DataError: If it is none, is truncated, or is of another version.
    """
    file = open_hdf5(path)
    try:
        form, version = str(file.attrs.get("format")), str(file.attrs.get("version"))
    except HDF5_ERRORS as error:
        file.close()
        raise DataError(f"{path}: damaged ({' '.join(str(error).split())}); pack the data set again") from error
    if form != FORMAT:
        raise DataError(f"{path}: an HDF5 file, but not one that `efficient-sed data pack` wrote")
    if version != str(VERSION):
        raise DataError(f"{path}: packed in version {version} of the format, this is for version {VERSION}; pack the data set again")
    return file


def read_packed(path: Path, file: Any) -> Splits:
    """The data set in an opened file.

    Raises:
        One of HDF5_ERRORS: If the file is damaged: tables that are missing or do not fit together, or values that make no sense.
    """
    classes, ids, digests = (texts(read_whole(file, name)) for name in ("classes", "id", "digest"))
    tables = {name: read_whole(file, name) for name in (*CLIP_TABLES, *EVENT_TABLES, "event_first", *PARTS)}
    samples = stored_data(file, "samples")
    if samples.ndim != 1 or samples.dtype != np.int16:
        raise ValueError(f"samples hold {samples.dtype} of shape {samples.shape}")
    _check_tables(tables, len(classes), len(ids), len(samples))
    if problem := label_problem(classes):
        raise ValueError(problem)
    onsets, offsets, columns = (tables[name].tolist() for name in EVENT_TABLES)
    events = [Event(onset, offset, classes[column]) for onset, offset, column in zip(onsets, offsets, columns, strict=True)]
    event_first = tables["event_first"].tolist()
    rows = zip(ids, digests, *(tables[name].tolist() for name in CLIP_TABLES), strict=True)
    clips = [
        Clip(clip_id, PackedAudio(path, first, length, scale, clip_id, digest), duration_s, tuple(events[event_first[i] : event_first[i + 1]]))
        for i, (clip_id, digest, first, length, scale, duration_s) in enumerate(rows)
    ]
    train, validation, test = (tuple(clips[row] for row in tables[part].tolist()) for part in PARTS)
    evaluated = tuple(texts(read_whole(file, "evaluated_classes"))) if "evaluated_classes" in file else None
    if evaluated is not None and not set(evaluated) <= set(classes):
        raise ValueError("evaluated_classes holds others than classes")
    return Splits(tuple(classes), train, validation, test, evaluated_classes=evaluated, expected=parse_json(file.attrs["expected"]))


def _check_tables(tables: Mapping[str, np.ndarray], num_classes: int, num_clips: int, num_samples: int) -> None:
    """Raise a ValueError unless all indices point to what is there, and all times are such."""
    for name, table in tables.items():
        kind = "f" if name.endswith("_s") or name == "scale" else "i"
        if table.ndim != 1 or table.dtype.kind != kind or (kind == "f" and not np.isfinite(table).all()):
            raise ValueError(f"{name} holds {table.dtype} of shape {table.shape}, or what is no number")
    first, length, scale, duration_s = (tables[name] for name in CLIP_TABLES)
    onset_s, offset_s, column = (tables[name] for name in EVENT_TABLES)
    borders = tables["event_first"]
    if any(len(table) != num_clips for table in (first, length, scale, duration_s)) or len(borders) != num_clips + 1:
        raise ValueError("its tables of clips differ in length")
    if (length <= 0).any() or (first < 0).any() or (first > num_samples - length).any() or (scale < 1).any() or (np.abs(length - duration_s * SAMPLE_RATE) > 2).any():
        raise ValueError("a clip is not within the samples, or not as long as its duration")
    if borders[0] != 0 or borders[-1] != len(column) or (np.diff(borders) < 0).any() or not len(onset_s) == len(offset_s) == len(column):
        raise ValueError("its tables of events do not fit together")
    end_s = np.repeat(duration_s, np.diff(borders))
    if ((column < 0) | (column >= num_classes) | (onset_s < 0) | (onset_s >= offset_s) | (offset_s > end_s + 1e-6)).any():
        raise ValueError("an event is of no class, or not within its clip")
    for part in PARTS:
        if (tables[part] < 0).any() or (tables[part] >= num_clips).any() or len(np.unique(tables[part])) < len(tables[part]):
            raise ValueError(f"{part} names a clip that is not there, or one twice")
        if part != "train" and np.intersect1d(tables["train"], tables[part]).size:
            raise ValueError(f"a clip is in train and in {part}")
