"""Triangular mel filters in the conventions of Kaldi, HTK and Slaney. Without PyTorch, for what runs without it."""

from __future__ import annotations

from typing import Literal

import numpy as np

Scale = Literal["kaldi", "htk", "slaney"]
SLANEY_BREAK_HZ, SLANEY_BREAK_MEL, SLANEY_STEP = 1000.0, 15.0, np.log(6.4) / 27


def create_mel_bank(
    num_bands: int, fft_length: int, sample_rate: int, low_hz: float, high_hz: float, *, scale: Scale
) -> np.ndarray:
    """Weights that turn a power spectrum into mel bands; the edges of the bands are evenly spaced on the mel scale.

    Args:
        num_bands: Number of bands.
        fft_length: Samples of the Fourier transform.
        sample_rate: In Hz.
        low_hz: Lower edge of the lowest band.
        high_hz: Upper edge of the highest band.
        scale: "kaldi": mel = 1127 ln(1 + f / 700), triangles in mel. "htk": 2595 log10(1 + f / 700), which is the same
            scale, triangles in Hz. "slaney": linear below 1 kHz and logarithmic above, triangles in Hz, each of area 1,
            as librosa's default.

    Returns:
        Shape (num_bands, fft_length / 2 + 1), float32.
    """
    to_mel, to_hz = (slaney_mel, _slaney_hz) if scale == "slaney" else (htk_mel, _htk_hz)
    position = np.linspace(0, sample_rate / 2, fft_length // 2 + 1)
    lowest, highest = to_mel(np.array([low_hz, high_hz]))
    edges = np.linspace(lowest, highest, num_bands + 2)[:, None]
    if scale == "kaldi":
        position = to_mel(position)
    else:
        edges = to_hz(edges)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    bank = np.maximum(0, np.minimum((position - low) / (centre - low), (high - position) / (high - centre)))
    return np.asarray(bank * (2 / (high - low)) if scale == "slaney" else bank, np.float32)


def htk_mel(hertz: np.ndarray | float) -> np.ndarray:
    """O'Shaughnessy, "Speech communication", 1987."""
    return np.asarray(2595 * np.log10(1 + np.asarray(hertz) / 700))


def _htk_hz(mel: np.ndarray) -> np.ndarray:
    return np.asarray(700 * (10 ** (mel / 2595) - 1))


def slaney_mel(hertz: np.ndarray) -> np.ndarray:
    """Slaney, "Auditory toolbox", 1998."""
    linear = hertz * SLANEY_BREAK_MEL / SLANEY_BREAK_HZ
    above = SLANEY_BREAK_MEL + np.log(np.maximum(hertz, SLANEY_BREAK_HZ) / SLANEY_BREAK_HZ) / SLANEY_STEP
    return np.where(hertz < SLANEY_BREAK_HZ, linear, above)


def _slaney_hz(mel: np.ndarray) -> np.ndarray:
    above = SLANEY_BREAK_HZ * np.exp((mel - SLANEY_BREAK_MEL) * SLANEY_STEP)
    return np.where(mel < SLANEY_BREAK_MEL, mel * SLANEY_BREAK_HZ / SLANEY_BREAK_MEL, above)
