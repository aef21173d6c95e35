"""The power spectrogram that all front ends start from."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def power_spectrum(signal: Tensor, window: Tensor, fft_length: int, hop_length: int) -> Tensor:
    """Squared magnitudes of the short-time Fourier transform, for the frames that lie wholly inside the signal.

    Args:
        signal: Shape (batch, samples).
        window: Shape (window_length,), centred in each frame of `fft_length` samples.
        fft_length: Samples of the Fourier transform.
        hop_length: Samples from one frame to the next.

    Returns:
        Shape (batch, fft_length / 2 + 1, frames).
    """
    if torch.onnx.is_in_onnx_export():
        before = (fft_length - len(window)) // 2
        after = fft_length - len(window) - before
        inside = signal[:, before : signal.shape[1] - after]  # frames are longer than their windows
        return power_by_convolution(inside, window, fft_length, hop_length)
    spectrum = torch.stft(signal, fft_length, hop_length, len(window), window, center=False, return_complex=True)
    return torch.view_as_real(spectrum).square().sum(-1)


def power_by_convolution(
    signal: Tensor, window: Tensor, fft_length: int, hop_length: int, matrix: np.ndarray | None = None
) -> Tensor:
    """`power_spectrum` with cosines and sines as filters, for exporters.

    ONNX has an operator for the short-time Fourier transform, which takes onnxruntime four times as long.

    Args:
        signal: Shape (batch, samples); the first window begins at its first sample.
        window: Shape (window_length,), at the beginning of each frame.
        fft_length: Samples of the Fourier transform.
        hop_length: Samples from one frame to the next.
        matrix: Shape (window_length, window_length), applied to the samples before the window; default None.

    Returns:
        Shape (batch, fft_length / 2 + 1, frames).
    """
    # Multiples of the angle are reduced as whole numbers, before any rounding. In numpy, so that exporters see weights.
    multiples = np.outer(np.arange(fft_length // 2 + 1), np.arange(len(window))) % fft_length
    angles = multiples * (2 * np.pi / fft_length)
    weights = np.concatenate([np.cos(angles), np.sin(angles)]) * window.double().numpy()
    if matrix is not None:
        weights = weights @ matrix
    filters = torch.from_numpy(weights).to(signal.dtype).unsqueeze(1)
    real, imaginary = F.conv1d(signal.unsqueeze(1), filters, stride=hop_length).square().chunk(2, dim=1)
    return real + imaginary


def centre_pad(signal: Tensor, fft_length: int) -> Tensor:
    """Reflect a signal (batch, samples) at both ends by half a frame, so that frames are centred on hops."""
    return F.pad(signal.unsqueeze(1), (fft_length // 2, fft_length // 2), mode="reflect")[:, 0]
