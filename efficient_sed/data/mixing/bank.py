"""Sounds at hand: decoded, trimmed, at 16 kHz, as 16-bit samples in one file that all processes map into memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.audio.io import read_audio
from efficient_sed.errors import DataError

FULL_SCALE = 32767


class BankSound(NamedTuple):
    """A sound of a bank."""

    label: str
    path: Path
    start_s: float
    """Where it begins in its file, in seconds."""
    size: int
    """Its samples at 16 kHz."""
    place: int | None
    """Its first sample in the bank's file; None: it is read from its own file."""


class SoundBank:
    """Sounds of one part.

    Args:
        sounds: In any order.
        samples: File of 16-bit samples.
        channel: Of the files that are read, counted from 1; default None, the mean of all.
    """

    def __init__(self, sounds: Sequence[BankSound], samples: Path, channel: int | None = None) -> None:
        self.sounds, self.channel = tuple(sounds), channel
        self._path = samples
        self._mapped: np.ndarray | None = None
        numbers: dict[str, list[int]] = defaultdict(list)
        for number, sound in enumerate(self.sounds):
            numbers[sound.label].append(number)
        self.by_label = [numbers[label] for label in sorted(numbers)]
        """Numbers of the sounds of each class."""

    def __getstate__(self) -> dict[str, Any]:
        """Another process maps the file itself."""
        return {**self.__dict__, "_mapped": None}

    def read(self, number: int, first: int, count: int) -> np.ndarray:
        """Samples of a sound, shape (count,), float32, up to 32767, at a scale of their own.

        Raises:
            DataError: If they cannot be read.
        """
        sound = self.sounds[number]
        if sound.place is None:
            start_s, seconds = sound.start_s + first / SAMPLE_RATE, count / SAMPLE_RATE
            return fitted(read_audio(sound.path, start_s, seconds, channel=self.channel), count) * FULL_SCALE
        place = sound.place + first
        return self._samples()[place : place + count].astype(np.float32)

    def _samples(self) -> np.ndarray:
        if self._mapped is None:
            try:
                self._mapped = np.memmap(self._path, np.int16, "r")
            except (OSError, ValueError) as error:
                advice = f"delete {self._path.parent}, and it is written again"
                raise DataError(f"{self._path}: cannot be read ({error}); {advice}") from error
        return self._mapped


class BankWriter:
    """Appends sounds to a bank's file until it is full.

    Args:
        path: The file; it is open until `close`.
        most_bytes: How large it may become.
    """

    def __init__(self, path: Path, most_bytes: float) -> None:
        self._file, self._left, self._place = path.open("wb"), most_bytes, 0
        self.num_left_out = 0

    def add(self, samples: np.ndarray) -> int | None:
        """Append a sound, scaled to its peak, which no scene depends on.

        Args:
            samples: Shape (samples,), not all zero.

        Returns:
            Its first sample in the file; None if there is no room.
        """
        if 2 * len(samples) > self._left:
            self.num_left_out += 1
            return None
        place = self._place
        self._file.write(np.round(samples * (FULL_SCALE / np.abs(samples).max())).astype(np.int16).tobytes())
        self._left -= 2 * len(samples)
        self._place += len(samples)
        return place

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def fitted(samples: np.ndarray, count: int) -> np.ndarray:
    """Samples cut, or filled with zeros, to a length."""
    return samples[:count] if len(samples) >= count else np.pad(samples, (0, count - len(samples)))
