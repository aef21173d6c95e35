"""Front ends in NumPy: the steps from a waveform to its spectrogram, for machines without PyTorch.

A front end states its steps in `FrontEnd.steps`; an exported file that takes spectrograms carries them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from efficient_sed.audio.frontends.mel_filters import Scale, mel_filters

Array = npt.NDArray[np.floating[Any]]
POWER_DB = 10 / math.log(10)  # decibels of a power, by its natural logarithm


class Step(ABC):
    """A step: a frozen dataclass of plain values, whose name is its key in a file."""

    @abstractmethod
    def __call__(self, x: Array) -> Array:
        """From a waveform (samples,), or behind `Spectrum` from (frames, values), to the same."""


@dataclass(frozen=True)
class RemoveMean(Step):
    """Subtract the mean of the clip."""

    def __call__(self, x: Array) -> Array:
        """See `Step`."""
        return x - float(x.mean(dtype=np.float64))


@dataclass(frozen=True)
class PreEmphasis(Step):
    """Subtract from each sample a share of the one before; the first sample is left out."""

    share: float

    def __call__(self, x: Array) -> Array:
        """See `Step`."""
        return x[1:] - self.share * x[:-1]


@dataclass(frozen=True)
class Pad(Step):
    """Add samples at both ends, zeros or the signal reflected."""

    before: int
    after: int
    mode: Literal["reflect", "constant"] = "reflect"

    def __call__(self, x: Array) -> Array:
        """See `Step`."""
        return np.pad(x, (self.before, self.after), mode=self.mode)


@dataclass(frozen=True)
class Spectrum(Step):
    """Magnitudes of Fourier transforms to a power; frames follow one another by `hop_length` samples.

    Each frame is `window_length` samples, of which `pre_emphasis` removes the mean and a share of the sample before
    (the first one counts as the one before itself), times the window to `window_power`, filled with zeros.
    """

    hop_length: int
    window_length: int
    fft_length: int
    window: Literal["hann", "hamming"] = "hann"
    is_periodic: bool = True
    window_power: float = 1.0
    pre_emphasis: float = 0.0
    exponent: float = 2.0

    def __call__(self, x: Array) -> Array:
        """See `Step`."""
        frames = sliding_window_view(x, self.window_length)[:: self.hop_length]
        if self.pre_emphasis:
            frames = frames - frames.mean(1, keepdims=True)
            frames = frames - self.pre_emphasis * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
        spectrum = np.fft.rfft(frames * self._window, self.fft_length)
        power = spectrum.real**2 + spectrum.imag**2
        return power if self.exponent == 2 else power ** (self.exponent / 2)

    @cached_property
    def _window(self) -> Array:
        make = {"hann": np.hanning, "hamming": np.hamming}[self.window]
        window: Array = make(self.window_length + self.is_periodic)[: self.window_length] ** self.window_power
        return window.astype(np.float32)


@dataclass(frozen=True)
class MelBands(Step):
    """Sums under the triangles of `mel_filters`."""

    num_bands: int
    fft_length: int
    sample_rate: int
    low_hz: float
    high_hz: float
    scale: Scale

    def __call__(self, x: Array) -> Array:
        """See `Step`."""
        return x @ self._filters

    @cached_property
    def _filters(self) -> Array:
        filters = mel_filters(self.num_bands, self.fft_length, self.sample_rate, self.low_hz, self.high_hz, self.scale)
        return filters.T.astype(np.float32)


@dataclass(frozen=True)
class Log(Step):
    """`factor` times the natural logarithm of values of `floor` at least; `POWER_DB` gives decibels."""

    floor: float
    factor: float = 1.0

    def __call__(self, x: Array) -> Array:
        """See `Step`."""
        logarithm: Array = np.log(np.maximum(x, self.floor))
        return logarithm if self.factor == 1 else self.factor * logarithm


@dataclass(frozen=True)
class Scaled(Step):
    """Add, then multiply."""

    offset: float = 0.0
    factor: float = 1.0

    def __call__(self, x: Array) -> Array:
        """See `Step`."""
        return (x + self.offset) * self.factor


@dataclass(frozen=True)
class Limit(Step):
    """Limit values to a range, and to no less than `below_peak` under the highest one of the clip."""

    low: float
    high: float
    below_peak: float | None = None

    def __call__(self, x: Array) -> Array:
        """See `Step`."""
        low = self.low if self.below_peak is None else max(self.low, x.max() - self.below_peak)
        return x.clip(low, self.high)


@dataclass(frozen=True)
class UnitRange(Step):
    """Scale the lowest and the highest value of the clip to 0 and 1; `epsilon` is added to their difference."""

    epsilon: float

    def __call__(self, x: Array) -> Array:
        """See `Step`."""
        low, high = float(x.min()), float(x.max())
        return (x - low) / (high - low + self.epsilon)


@dataclass(frozen=True)
class Cepstrum(Step):
    """The first coefficients of an orthonormal cosine transform of each frame."""

    num_coefficients: int

    def __call__(self, x: Array) -> Array:
        """See `Step`."""
        num = x.shape[1]
        angles = np.outer(np.arange(num) + 0.5, np.arange(self.num_coefficients)) * (np.pi / num)
        cosines = np.cos(angles) * np.sqrt(2 / num)
        cosines[:, 0] /= np.sqrt(2)
        coefficients: Array = x @ cosines.astype(x.dtype)
        return coefficients


STEPS: dict[str, type[Step]] = {cls.__name__: cls for cls in Step.__subclasses__()}
