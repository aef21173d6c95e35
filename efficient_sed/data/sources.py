"""Where a clip's audio comes from: a file, or a row of a container. Sources are small, hashable and cross process borders; they hold no open file."""

from __future__ import annotations

import abc
import hashlib
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from efficient_sed.audio.io import read_audio


class AudioSource(abc.ABC):
    """Audio that can be read in excerpts; `str()` names it in messages."""

    @abc.abstractmethod
    def read(self, start_s: float = 0.0, duration_s: float | None = None) -> Tensor:
        """Mono at 16 kHz, shape (samples,).

        Args:
            start_s: Where to begin; must lie inside.
            duration_s: How much; none for the rest. What lies beyond the end is left out.

        Raises:
            DataError: If it cannot be decoded; the message names it.
        """

    @abc.abstractmethod
    def content_hash(self) -> str:
        """Changes when the content changes."""


@dataclass(frozen=True)
class AudioFile(AudioSource):
    """A file; its channels are averaged."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def read(self, start_s: float = 0.0, duration_s: float | None = None) -> Tensor:
        return read_audio(self.path, start_s, duration_s)

    def content_hash(self) -> str:
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
