"""Triangular mel filters in NumPy; `mel_bank` has those of torchaudio, in single precision."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]
Scale = Literal["kaldi", "htk", "slaney"]
# Slaney's scale is linear up to 1 kHz, which is mel 15; from there 27 mel are a factor of 6.4 in frequency.
SLANEY_HZ, SLANEY_MEL, SLANEY_STEP = 1000.0, 15.0, np.log(6.4) / 27


def mel_filters(
    num_bands: int, fft_length: int, sample_rate: int, low_hz: float, high_hz: float, scale: Scale
) -> Float64Array:
    """Create what `mel_bank.create_mel_bank` describes, shape (num_bands, fft_length / 2 + 1)."""
    low, high = _to_mel(np.array([low_hz, high_hz], dtype=np.float64), scale)
    bins = np.arange(fft_length // 2 + 1, dtype=np.float64) * (sample_rate / fft_length)
    edges = np.linspace(low, high, num_bands + 2)
    if scale == "kaldi":
        bins = _to_mel(bins, scale)
    else:
        edges = _to_hz(edges, scale)
    lower, centre, upper = (edges[begin : begin + num_bands, None] for begin in range(3))
    filters: Float64Array = np.minimum((bins - lower) / (centre - lower), (upper - bins) / (upper - centre)).clip(0)
    if scale == "kaldi":
        filters[:, -1] = 0  # no band reaches the Nyquist frequency
    return filters * 2 / (upper - lower) if scale == "slaney" else filters


def _to_mel(hz: Float64Array, scale: Scale) -> Float64Array:
    if scale == "kaldi":
        return 1127 * np.log(1 + hz / 700)
    if scale == "htk":
        return 2595 * np.log10(1 + hz / 700)
    above = SLANEY_MEL + np.log(np.maximum(hz, SLANEY_HZ) / SLANEY_HZ) / SLANEY_STEP
    return np.where(hz < SLANEY_HZ, hz * (SLANEY_MEL / SLANEY_HZ), above)


def _to_hz(mel: Float64Array, scale: Scale) -> Float64Array:
    if scale == "htk":
        return np.asarray(700 * (10 ** (mel / 2595) - 1))
    above = SLANEY_HZ * np.exp((mel - SLANEY_MEL) * SLANEY_STEP)
    return np.where(mel < SLANEY_MEL, mel * (SLANEY_HZ / SLANEY_MEL), above)
