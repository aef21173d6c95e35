"""Backgrounds that are made: coloured noise."""

from __future__ import annotations

import numpy as np

from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.data.mixing.place import Rng

FLAT_BELOW_HZ = 50.0
NUM_KNOTS, KNOTS = 6, (0.7, 1.3)  # of the level along a scene
POOL_SEED, POOL_S, POOL_KNOTS = 0, 40.0, 24
POOL_SLOPES = (0.0, 0.25, 0.5, 0.75, 1.0)


def coloured_noise(rng: Rng, n: int) -> np.ndarray:
    """Noise with a random spectral slope and slow changes of level; shape (n,), standard deviation 1."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    shaped = _shaped(spectrum, n, rng.uniform(0.0, 1.0))
    return _varied(shaped, rng.uniform(*KNOTS, NUM_KNOTS))


def _shaped(spectrum: np.ndarray, n: int, slope: float) -> np.ndarray:
    frequency = np.fft.rfftfreq(n, 1 / SAMPLE_RATE)
    return np.asarray(np.fft.irfft(spectrum / np.maximum(frequency, FLAT_BELOW_HZ) ** slope, n))


def _varied(shaped: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Noise whose level goes from knot to knot, standard deviation 1."""
    noise = shaped * np.interp(np.arange(len(shaped)), np.linspace(0, len(shaped), len(knots)), knots)
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
        if self._noises is None:
            self._noises = _long_noises()
        num_noises, size = self._noises.shape
        numbers = rng.integers(num_noises, size=2)
        begins = rng.integers(size - n + 1 if 2 * n <= size else size, size=2)
        angle = rng.uniform(0, 2 * np.pi)
        first, second = (
            _excerpt(self._noises[number], begin, n) for number, begin in zip(numbers, begins, strict=True)
        )
        mixed = first * np.float32(np.cos(angle))
        mixed += second * np.float32(np.sin(angle))
        return np.asarray(mixed)


def _long_noises() -> np.ndarray:
    """Noises of all slopes whose ends join, shape (slopes, samples), float32."""
    rng, size = np.random.default_rng(POOL_SEED), round(POOL_S * SAMPLE_RATE)
    spectrum = np.fft.rfft(rng.standard_normal(size))
    noises = []
    for slope in POOL_SLOPES:
        knots = rng.uniform(*KNOTS, POOL_KNOTS)
        knots[-1] = knots[0]
        noises.append(_varied(_shaped(spectrum, size, slope), knots).astype(np.float32))
    return np.stack(noises)


def _excerpt(noise: np.ndarray, begin: int, n: int) -> np.ndarray:
    """Samples from a place on, again and again where they end, shape (n,)."""
    if begin + n <= len(noise):
        return noise[begin : begin + n]
    return np.resize(np.concatenate([noise[begin:], noise[:begin]]), n)
