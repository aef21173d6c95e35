"""Resampling without PyTorch equals torchaudio's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchaudio
from rounding import assert_rounds_like

from efficient_sed.audio.resample import resample


@pytest.mark.parametrize(
    ("rate", "wanted"),
    [
        (44_100, 16_000),
        (8_000, 16_000),
        (22_050, 32_000),
        (48_000, 16_000),
        (16_000, 44_100),
        (192_000, 16_000),
        (16_000, 16_000),
    ],
)
@pytest.mark.parametrize("num_samples", [1, 17, 1000, 50_003])
def test_equal_to_torchaudio(rate: int, wanted: int, num_samples: int) -> None:
    """In float64, as torchaudio makes its filter in the samples' precision."""
    samples = np.random.default_rng(num_samples).normal(size=num_samples).astype(np.float32)
    expected = torchaudio.functional.resample(torch.from_numpy(samples).double(), rate, wanted).numpy()
    found = resample(samples, rate, wanted)
    assert found.dtype == np.float32
    assert_rounds_like(expected.astype(np.float32), found, expected)
