"""A training clip that is another scene each time it is drawn."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.audio.resample import resample
from efficient_sed.data.events import PARTS, Clip
from efficient_sed.data.mixing.mixer import SceneMixer
from efficient_sed.data.mixing.place import Rng
from efficient_sed.data.storage.sources import AudioSource

FIXED = 1  # ends the seeds of scenes that are always the same, so that no drawn one has them


def fixed_rng(seed: int, part: str, index: int) -> Rng:
    """The random stream of a scene that is always the same."""
    return np.random.default_rng([seed, PARTS.index(part), index, 0, FIXED])


@dataclass(frozen=True)
class SceneRecipe(AudioSource):
    """A scene to be mixed; what is read of it without a random stream is always the same one."""

    mixer: SceneMixer = field(compare=False, repr=False)
    digest: str
    """Of the sounds and options."""
    seed: int
    index: int

    def __str__(self) -> str:
        return f"scene {self.index} mixed of sounds"

    def clip(self) -> Clip:
        """The clip, with the events of the scene that is always the same."""
        events = self.mixer.events(fixed_rng(self.seed, "train", self.index))
        return Clip(f"train/{self.index:06d}", self, self.mixer.options.clip_seconds, events)

    def draw(self, clip: Clip, rng: Rng) -> Clip:
        """The clip with another scene, which depends on the random stream alone.

        Raises:
            DataError: If a sound cannot be read.
        """
        samples, events = self.mixer.draw(rng)
        return dataclasses.replace(clip, audio=Samples(samples), events=tuple(events))

    def read(self, start_s: float = 0.0, duration_s: float | None = None, sample_rate: int = SAMPLE_RATE) -> Tensor:
        """Read mono samples; see `AudioSource.read`."""
        samples, _ = self.mixer.draw(fixed_rng(self.seed, "train", self.index))
        return Samples(samples).read(start_s, duration_s, sample_rate)

    def content_hash(self) -> str:
        """Hash of what it is mixed of."""
        return f"{self.digest}#{self.index}"


@dataclass(frozen=True, eq=False)
class Samples(AudioSource):
    """Audio in memory, at 16 kHz."""

    samples: np.ndarray

    def read(self, start_s: float = 0.0, duration_s: float | None = None, sample_rate: int = SAMPLE_RATE) -> Tensor:
        """Read mono samples; see `AudioSource.read`."""
        first = round(start_s * SAMPLE_RATE)
        last = None if duration_s is None else first + round(duration_s * SAMPLE_RATE)
        return torch.from_numpy(resample(self.samples[first:last], SAMPLE_RATE, sample_rate))

    def content_hash(self) -> str:
        """Hash of the samples."""
        return hashlib.sha256(self.samples.tobytes()).hexdigest()
