"""Mel filters equal torchaudio's, which computes them in single precision."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from torchaudio.compliance.kaldi import get_mel_banks
from torchaudio.functional import melscale_fbanks

from efficient_sed.audio.mel_bank import create_mel_bank, htk_mel, slaney_mel


@pytest.mark.parametrize(("low_hz", "high_hz"), [(0.0, 7000.0), (20.0, 8000.0)])
def test_kaldi(low_hz: float, high_hz: float) -> None:
    expected, _ = get_mel_banks(
        128, 512, 16_000, low_hz, high_hz, vtln_low=100.0, vtln_high=-500.0, vtln_warp_factor=1.0
    )
    found = create_mel_bank(128, 512, 16_000, low_hz, high_hz, scale="kaldi")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, torch.nn.functional.pad(expected, (0, 1)).numpy(), rtol=0, atol=2e-5)


@pytest.mark.parametrize("scale", ["htk", "slaney"])
@pytest.mark.parametrize(
    ("num_bands", "fft_length", "sample_rate", "low_hz", "high_hz"),
    [(128, 1024, 32_000, 50.0, 14_000.0), (40, 1024, 44_100, 0.0, 22_050.0), (80, 400, 16_000, 50.0, 8000.0)],
)
@pytest.mark.filterwarnings("ignore:At least one mel filterbank has all zero values")
def test_htk_and_slaney(
    scale: Literal["htk", "slaney"], num_bands: int, fft_length: int, sample_rate: int, low_hz: float, high_hz: float
) -> None:
    norm = "slaney" if scale == "slaney" else None
    bank = melscale_fbanks(fft_length // 2 + 1, low_hz, high_hz, num_bands, sample_rate, norm, scale)
    found = create_mel_bank(num_bands, fft_length, sample_rate, low_hz, high_hz, scale=scale)
    assert found.shape == (num_bands, fft_length // 2 + 1)
    np.testing.assert_allclose(found, bank.T.numpy(), rtol=0, atol=2e-5 * float(bank.max()))


def test_scales() -> None:
    assert htk_mel(1000.0) == pytest.approx(1000, abs=0.02)
    np.testing.assert_allclose(slaney_mel(np.array([0.0, 500.0, 1000.0, 6400.0])), [0, 7.5, 15, 42])
