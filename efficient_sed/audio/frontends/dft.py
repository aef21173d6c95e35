"""The power spectrogram that all front ends start from."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def power_spectrum(signal: Tensor, window: Tensor, fft_length: int, hop_length: int) -> Tensor:
    """Squared magnitudes of the short-time Fourier transform, frames lying wholly inside the signal.

    Args:
        signal: Shape (batch, samples).
        window: Shape (window_length,), in the middle of each frame of `fft_length` samples.

    Returns:
        Shape (batch, fft_length / 2 + 1, frames).
    """
    if torch.onnx.is_in_onnx_export():
        return _by_convolution(signal, window, fft_length, hop_length)
    spectrum = torch.stft(signal, fft_length, hop_length, len(window), window, center=False, return_complex=True)
    return torch.view_as_real(spectrum).square().sum(-1)


def _by_convolution(signal: Tensor, window: Tensor, fft_length: int, hop_length: int) -> Tensor:
    """The same with cosines and sines as filters. ONNX has an operator for it, which takes onnxruntime four times as long."""
    length = len(window)
    before = (fft_length - length) // 2
    inside = signal[
        :, before : signal.shape[1] - (fft_length - length - before)
    ]  # where the windows reach, which are shorter than frames
    turns = (
        np.outer(np.arange(fft_length // 2 + 1), np.arange(length)) % fft_length
    )  # whole numbers: no angle is rounded before its cosine
    angles = turns * (2 * np.pi / fft_length)
    weights = (
        np.concatenate([np.cos(angles), np.sin(angles)]) * window.double().numpy()
    )  # by numpy: an exporter takes them as they are
    filters = torch.from_numpy(weights).to(signal.dtype).unsqueeze(1)
    real, imaginary = F.conv1d(inside.unsqueeze(1), filters, stride=hop_length).square().chunk(2, dim=1)
    return real + imaginary


def centre_pad(signal: Tensor, fft_length: int) -> Tensor:
    """The signal reflected at both ends by half a frame, so that frames are centred on multiples of the hop."""
    return F.pad(signal.unsqueeze(1), (fft_length // 2, fft_length // 2), mode="reflect")[:, 0]
