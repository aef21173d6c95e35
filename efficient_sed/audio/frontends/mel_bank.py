"""Triangular mel filters in the conventions of Kaldi, HTK and Slaney, by torchaudio."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from torchaudio.compliance.kaldi import get_mel_banks
from torchaudio.functional import melscale_fbanks

from efficient_sed.audio.frontends.mel_filters import Scale


def create_mel_bank(
    num_bands: int, fft_length: int, sample_rate: int, low_hz: float, high_hz: float, *, scale: Scale
) -> Tensor:
    """Create weights that turn a power spectrum into mel bands, shape (num_bands, fft_length / 2 + 1).

    Args:
        num_bands: Number of bands.
        fft_length: Samples of the Fourier transform.
        sample_rate: In Hz.
        low_hz: Lower edge of the lowest band.
        high_hz: Upper edge of the highest band.
        scale: "kaldi": triangles in mel. "htk": triangles in Hz. "slaney": triangles in Hz, each of area 1, on a scale
            that is linear below 1 kHz, as librosa's default.
    """
    if scale == "kaldi":
        warping = {"vtln_low": 100.0, "vtln_high": -500.0, "vtln_warp_factor": 1.0}  # none
        kaldi, _ = get_mel_banks(num_bands, fft_length, sample_rate, low_hz, high_hz, **warping)
        return F.pad(kaldi, (0, 1))  # no band reaches the Nyquist frequency
    norm = "slaney" if scale == "slaney" else None
    with torch.device("cpu"):  # it looks for empty bands, which the meta device cannot do
        bank: Tensor = melscale_fbanks(
            fft_length // 2 + 1, low_hz, high_hz, num_bands, sample_rate, norm, mel_scale=scale
        )
    return bank.T.contiguous()
