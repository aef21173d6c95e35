"""The power spectrogram that all front ends start from."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

Float64Array = npt.NDArray[np.float64]


def power_spectrum(signal: Tensor, window: Tensor, fft_length: int, hop_length: int) -> Tensor:
    """Squared magnitudes of the short-time Fourier transform, for the frames that lie wholly inside the signal.

    Args:
        signal: Shape (batch, samples).
        window: Shape (window_length,), centred in each frame of `fft_length` samples.
        fft_length: Samples of a frame.
        hop_length: Samples between frames.

    Returns:
        Shape (batch, fft_length / 2 + 1, frames).
    """
    length = len(window)
    if torch.onnx.is_in_onnx_export():
        before = (fft_length - length) // 2
        # frames are longer than their windows
        inside = signal[:, before : signal.shape[1] - (fft_length - length - before)]
        return filtered_power(inside, fourier_filters(fft_length, length) * window.double().numpy(), hop_length)
    spectrum = torch.stft(signal, fft_length, hop_length, length, window, center=False, return_complex=True)
    return torch.view_as_real(spectrum).square().sum(-1)


def fourier_filters(fft_length: int, length: int) -> Float64Array:
    """Create cosines, then sines, of all frequencies over `length` samples: shape (fft_length + 2, length)."""
    # Multiples of the angle are reduced as whole numbers, before any rounding.
    multiples = np.outer(np.arange(fft_length // 2 + 1), np.arange(length)) % fft_length
    angles = multiples * (2 * np.pi / fft_length)
    return np.concatenate([np.cos(angles), np.sin(angles)])


def filtered_power(signal: Tensor, filters: Float64Array, hop_length: int) -> Tensor:
    """Compute the power spectrogram by convolution, for exporters: ONNX's STFT takes onnxruntime four times as long.

    Args:
        signal: Shape (batch, samples).
        filters: Real parts, then imaginary parts, shape (2 * frequencies, length). Of numpy, so that an exporter stores
            them as they are.
        hop_length: Samples between frames.

    Returns:
        Shape (batch, frequencies, frames).
    """
    weight = torch.from_numpy(filters).to(signal.dtype).unsqueeze(1)
    real, imaginary = F.conv1d(signal.unsqueeze(1), weight, stride=hop_length).square().chunk(2, dim=1)
    return real + imaginary


def mel_frame_macs(window_length: int, fft_length: int, mel_bands: int) -> int:
    """Count the multiply-accumulates of one frame: window, Fourier transform, power and filter bank."""
    # A real signal needs half the butterflies, each of four real multiplications.
    fourier = 2 * (fft_length // 2) * int(math.log2(fft_length))
    bins = fft_length // 2 + 1
    return window_length + fourier + 2 * bins + mel_bands * bins


def centre_pad(signal: Tensor, fft_length: int) -> Tensor:
    """Reflect a signal (batch, samples) at both ends by half a frame, so that frames are centred on hops."""
    return F.pad(signal.unsqueeze(1), (fft_length // 2, fft_length // 2), mode="reflect")[:, 0]
