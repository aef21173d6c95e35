"""Backgrounds that are made: coloured noise."""

from __future__ import annotations

import numpy as np

from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.data.mixing.place import Rng

FLAT_BELOW_HZ = 50.0
NUM_KNOTS = 6  # of the level along a scene
POOL_SEED, POOL_S = 0, 40.0
POOL_SLOPES = (0.0, 0.25, 0.5, 0.75, 1.0)


def coloured_noise(rng: Rng, n: int) -> np.ndarray:
    """Noise with a random spectral slope and slow changes of level; shape (n,), standard deviation 1."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    return _varied(rng, _shaped(spectrum, n, rng.uniform(0.0, 1.0)), NUM_KNOTS)


def _shaped(spectrum: np.ndarray, n: int, slope: float) -> np.ndarray:
    frequency = np.fft.rfftfreq(n, 1 / SAMPLE_RATE)
    return np.asarray(np.fft.irfft(spectrum / np.maximum(frequency, FLAT_BELOW_HZ) ** slope, n))


def _varied(rng: Rng, shaped: np.ndarray, num_knots: int) -> np.ndarray:
    knots = rng.uniform(0.7, 1.3, num_knots)
    noise = shaped * np.interp(np.arange(len(shaped)), np.linspace(0, len(shaped), num_knots), knots)
    return np.asarray(noise / noise.std())


class NoisePool:
    """The same kind of noise in a tenth of the time: the sum of excerpts of two long ones, anywhere and of any share.

    Each process makes its own on first use; all have the same.
    """

    def __init__(self) -> None:
        self._noises: np.ndarray | None = None

    def __getstate__(self) -> dict[str, None]:
        """Without the noise, which another process makes faster than it reads it."""
        return {"_noises": None}

    def draw(self, rng: Rng, n: int) -> np.ndarray:
        """Noise of shape (n,), float32, standard deviation about 1."""
        noises = self._made(n)
        size = noises.shape[1]
        first, second = rng.integers(len(noises), size=2)
        begin, other = rng.integers(size - n + 1, size=2)
        angle = rng.uniform(0, 2 * np.pi)
        mixed = noises[first, begin : begin + n] * np.float32(np.cos(angle))
        mixed += noises[second, other : other + n] * np.float32(np.sin(angle))
        return np.asarray(mixed)

    def _made(self, n: int) -> np.ndarray:
        """Noises of all slopes, shape (slopes, samples), at least four times as long as a scene."""
        size = max(round(POOL_S * SAMPLE_RATE), 4 * n)
        if self._noises is None or self._noises.shape[1] < size:
            rng = np.random.default_rng(POOL_SEED)
            spectrum = np.fft.rfft(rng.standard_normal(size))
            num_knots = NUM_KNOTS * size // n
            self._noises = np.stack([_varied(rng, _shaped(spectrum, size, slope), num_knots) for slope in POOL_SLOPES])
            self._noises = self._noises.astype(np.float32)
        return self._noises
