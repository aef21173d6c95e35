"""A packed copy of a data set, one HDF5 file that `efficient-sed data pack` writes: 16 kHz samples, events and parts, for training without decoding."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.config.schema import DataConfig
from efficient_sed.data._containers import forget, open_hdf5, opened
from efficient_sed.data.events import PARTS, Clip, Event, Splits
from efficient_sed.data.sources import AudioSource
from efficient_sed.errors import DataError
from efficient_sed.registry import DATASETS

FORMAT, VERSION = "efficient_sed packed", 1
PEAK = 32767.0


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
        except OSError as error:
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
        file = open_packed(path)
        try:
            with file:
                return read_packed(path, file)
        except (OSError, LookupError, ValueError, TypeError) as error:
            raise DataError(f"{path}: damaged ({' '.join(str(error).split())}); pack the data set again") from error


def open_packed(path: Path) -> Any:
    """A packed file for reading.

    Raises:
        DataError: If it is none, is truncated, or is of another version.
    """
    file = open_hdf5(path)
    form, version = file.attrs.get("format"), file.attrs.get("version")
    if form != FORMAT:
        raise DataError(f"{path}: an HDF5 file, but not one that `efficient-sed data pack` wrote")
    if version != VERSION:
        raise DataError(f"{path}: packed in version {version} of the format, this is for version {VERSION}; pack the data set again")
    return file


def read_packed(path: Path, file: Any) -> Splits:
    """The data set in an opened file."""
    classes = _texts(file["classes"])
    labels = [classes[index] for index in file["event_class"][:].tolist()]
    events = [Event(*row) for row in zip(file["event_onset_s"][:].tolist(), file["event_offset_s"][:].tolist(), labels, strict=True)]
    event_first = file["event_first"][:].tolist()
    columns = [file[name][:].tolist() for name in ("first", "length", "scale", "duration_s")]
    clips = [
        Clip(clip_id, PackedAudio(path, first, length, scale, clip_id, digest), duration_s, tuple(events[event_first[i] : event_first[i + 1]]))
        for i, (clip_id, digest, first, length, scale, duration_s) in enumerate(zip(_texts(file["id"]), _texts(file["digest"]), *columns, strict=True))
    ]
    train, validation, test = (tuple(clips[row] for row in file[part][:].tolist()) for part in PARTS)
    evaluated = tuple(_texts(file["evaluated_classes"])) if "evaluated_classes" in file else None
    return Splits(tuple(classes), train, validation, test, evaluated_classes=evaluated, expected=json.loads(file.attrs["expected"]))


def _texts(dataset: Any) -> list[str]:
    return [text.decode() for text in dataset[:].tolist()]
