"""Clips of a packed data set: 16-bit samples at 16 kHz and columns, read from their files on access."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.data.storage.columns import ClipColumns
from efficient_sed.data.storage.packed_file import PackedPath
from efficient_sed.data.storage.sources import AudioSource
from efficient_sed.errors import DataError

PEAK = 32767.0
PIECE = 1 << 23  # samples that a check reads at once


@dataclass(frozen=True)
class PackedAudio(AudioSource):
    """A range of samples of a packed file."""

    file: PackedPath
    first: int
    length: int
    scale: float
    """Value of the largest 16-bit sample; above 1 for clips that a decoder takes beyond full scale."""
    clip_id: str
    digest: str
    crc32: int
    """Of its samples as they are stored."""

    def __str__(self) -> str:
        return f"{self.file}: {self.clip_id}"

    def check_rate(self, sample_rate: int) -> None:
        """Refuse a sample rate; see `AudioSource.check_rate`."""
        if sample_rate != SAMPLE_RATE:
            raise DataError(
                f"{self.file}: packed at {SAMPLE_RATE} Hz, the model takes {sample_rate} Hz; give data=… and "
                "data.root=DIR of the recordings themselves"
            )

    def read(self, start_s: float = 0.0, duration_s: float | None = None, sample_rate: int = SAMPLE_RATE) -> Tensor:
        """Read mono samples; see `AudioSource.read`."""
        self.check_rate(sample_rate)
        begin = round(start_s * SAMPLE_RATE)
        end = self.length if duration_s is None else min(self.length, begin + round(duration_s * SAMPLE_RATE))
        if not 0 <= begin < end:
            raise DataError(f"{self}: no audio at {start_s:g} s (the clip has {self.length / SAMPLE_RATE:g} s)")
        samples = self.file.read("samples", self.first + begin, self.first + end, str(self))
        return torch.from_numpy(np.multiply(samples, self.scale / PEAK, dtype=np.float32))

    def check(self, duration_s: float) -> None:
        """Decode all of it; see `AudioSource.check`."""
        found = 0
        for begin in range(0, self.length, PIECE):
            end = min(self.length, begin + PIECE)
            found = zlib.crc32(
                self.file.read("samples", self.first + begin, self.first + end, str(self)).tobytes(), found
            )
        if found != self.crc32:
            raise DataError(
                f"{self}: its samples are not those that were packed; copy the file again, or pack the data set again"
            )

    def content_hash(self) -> str:
        """Hash of the content."""
        return self.digest


class PackedColumns(ClipColumns):
    """All clips of a packed data set.

    Args:
        index: The file of all columns but the samples.
        shards: The files of samples, and the number of the first sample of each.
    """

    def __init__(
        self, index: PackedPath, labels: Sequence[str], shards: Sequence[PackedPath], shard_first: np.ndarray
    ) -> None:
        self.index, self.labels, self.shards, self.shard_first = index, labels, shards, shard_first

    def read(self, name: str, first: int, last: int) -> np.ndarray:
        """A range of one column."""
        return self.index.read(name, first, last, f"{self.index} ({name})")

    def sources(self, ids: Sequence[str], first: int, last: int) -> Iterator[PackedAudio]:
        """Where the audio of a range of clips comes from."""
        begins = self.read("first", first, last)
        shards = np.searchsorted(self.shard_first, begins, side="right") - 1
        columns = [self.read(name, first, last).tolist() for name in ("length", "scale", "digest", "crc32")]
        for clip, shard, begin, length, scale, digest, crc32 in zip(
            ids, shards.tolist(), (begins - self.shard_first[shards]).tolist(), *columns, strict=True
        ):
            yield PackedAudio(self.shards[shard], begin, length, scale, clip, digest.decode(), crc32)
