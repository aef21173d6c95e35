"""Where a clip's audio comes from: a file, or a row of a container.

Sources are small, hashable and cross process borders; they hold no open file.
"""

from __future__ import annotations

import abc
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from efficient_sed.audio.encoded import EncodedAudio
from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.audio.io import read_audio
from efficient_sed.data.storage.containers import Kind, open_container
from efficient_sed.errors import DataError

PIECE_S, ROUNDING_S = 600.0, 0.01  # read at once by a check, and that a duration may be off


class AudioSource(abc.ABC):
    """Audio that can be read in excerpts; `str()` names it in messages."""

    def check_rate(self, sample_rate: int) -> None:  # noqa: B027 (most sources take any)
        """Raise a DataError if it cannot be read at that rate."""

    @abc.abstractmethod
    def read(self, start_s: float = 0.0, duration_s: float | None = None, sample_rate: int = SAMPLE_RATE) -> Tensor:
        """Read mono samples, shape (samples,).

        Args:
            start_s: Where to begin, in seconds; must lie inside.
            duration_s: How much to read, in seconds; default None, the rest. A part beyond the end is left out.
            sample_rate: Rate of the result, in Hz.

        Raises:
            DataError: If it cannot be decoded; the message names it.
        """

    def check(self, duration_s: float) -> None:
        """Read all of it, in pieces.

        Raises:
            DataError: If it cannot be decoded, or is not what it was.
        """
        for start_s in np.arange(0.0, max(duration_s - ROUNDING_S, ROUNDING_S), PIECE_S).tolist():
            self.read(start_s, PIECE_S)

    @abc.abstractmethod
    def content_hash(self) -> str:
        """Changes when the content changes."""


class EncodedSource(AudioSource):
    """Audio of an encoded file."""

    @abc.abstractmethod
    def encoded(self) -> bytes:
        """The content of an audio file.

        Raises:
            DataError: If it cannot be read; the message names it.
        """


@dataclass(frozen=True)
class AudioFile(EncodedSource):
    """A file."""

    path: Path
    channel: int | None = None
    """Counted from 1; default None, the mean of all."""
    digest: str = ""
    """SHA-256 of the content where an index holds it, so that it need not be read again."""

    def __str__(self) -> str:
        return str(self.path)

    def encoded(self) -> bytes:
        """The content of the audio file, as bytes."""
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read ({error.strerror})") from error

    def read(self, start_s: float = 0.0, duration_s: float | None = None, sample_rate: int = SAMPLE_RATE) -> Tensor:
        """Read mono samples; see `AudioSource.read`."""
        return torch.from_numpy(
            read_audio(self.path, start_s, duration_s, sample_rate=sample_rate, channel=self.channel)
        )

    def content_hash(self) -> str:
        """Hash of the content."""
        return self.digest or self._own_digest

    @cached_property
    def _own_digest(self) -> str:
        with self.path.open("rb") as file:  # once, however many excerpts ask
            return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Excerpt(AudioSource):
    """A part of another source."""

    source: AudioSource
    start_s: float
    duration_s: float

    def __str__(self) -> str:
        return f"{self.source} from {self.start_s:g} s"

    def check_rate(self, sample_rate: int) -> None:
        """Refuse a sample rate; see `AudioSource.check_rate`."""
        self.source.check_rate(sample_rate)

    def read(self, start_s: float = 0.0, duration_s: float | None = None, sample_rate: int = SAMPLE_RATE) -> Tensor:
        """Read mono samples; see `AudioSource.read`."""
        rest_s = self.duration_s - start_s
        wanted_s = rest_s if duration_s is None else min(rest_s, duration_s)
        return self.source.read(self.start_s + start_s, wanted_s, sample_rate)

    def content_hash(self) -> str:
        """Hash of the content."""
        return f"{self.source.content_hash()}@{self.start_s:g}+{self.duration_s:g}"


@dataclass(frozen=True)
class ContainerAudio(EncodedSource):
    """An encoded clip in one row of an HDF5 file or of a split of an Arrow data set; decoded in memory."""

    kind: Kind
    path: Path
    row: int
    clip_id: str
    digest: str = ""
    channel: int | None = 1
    """Counted from 1, by default the first, as published; None for the mean of all."""

    def __str__(self) -> str:
        return f"{self.path}[{self.row}] {self.clip_id}"

    def encoded(self) -> bytes:
        """The content of the audio file, as bytes."""
        try:
            return open_container(self.kind, self.path).encoded(self.row)
        except DataError as error:
            raise DataError(f"{self}: {error}") from error

    def read(self, start_s: float = 0.0, duration_s: float | None = None, sample_rate: int = SAMPLE_RATE) -> Tensor:
        """Read mono samples; see `AudioSource.read`."""
        encoded = EncodedAudio(str(self), self.encoded())
        return torch.from_numpy(read_audio(encoded, start_s, duration_s, sample_rate=sample_rate, channel=self.channel))

    def content_hash(self) -> str:
        """Hash of the content."""
        return self.digest or hashlib.sha256(self.encoded()).hexdigest()
