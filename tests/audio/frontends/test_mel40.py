"""Log-mel and cepstrum of dnd-sed and its replication equal the textbook formulas; frames tile the signal."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchaudio.functional import melscale_fbanks

from efficient_sed.audio.frontends.mel40 import ANALYSES, Mel40

NAMES = list(ANALYSES)


def textbook(name: str, waveform: np.ndarray) -> np.ndarray:
    """(samples,) -> (40, frames), one frame at a time, in float64; windows are centred on the frame's hop."""
    rate, length, hop, fft, bands = {
        "logmel40": (44_100, 882, 441, 1024, 40),
        "mfcc40": (22_050, 440, 220, 512, 40),
        "mfcc40_2048": (22_050, 2048, 512, 2048, 128),
    }[name]
    base = 0.54 if name == "logmel40" else 0.5
    window = base - (1 - base) * np.cos(2 * np.pi * np.arange(length) / length)
    bank = melscale_fbanks(fft // 2 + 1, 0.0, rate / 2, bands, rate, norm="slaney", mel_scale="slaney").double().numpy()
    transform = window * np.exp(-2j * np.pi * np.outer(np.arange(fft // 2 + 1), np.arange(length)) / fft)
    padded = np.pad(waveform, fft, mode="reflect")
    frames = []
    for start in range(0, len(waveform) - hop + 1, hop):
        first = fft + start - (fft - hop) // 2 + (fft - length) // 2
        spectrum = transform @ padded[first : first + length]
        logarithm = np.log(np.maximum(np.abs(spectrum) ** 2 @ bank, 1e-10))
        if name != "logmel40":
            k, n = np.arange(40)[:, None], np.arange(bands)
            cosines = np.sqrt(2 / bands) * np.cos(np.pi * k * (2 * n + 1) / (2 * bands))
            cosines[0] /= math.sqrt(2)
            logarithm = cosines @ logarithm
        frames.append(logarithm)
    return np.stack(frames, axis=1)


@pytest.mark.parametrize("name", NAMES)
def test_textbook_formula(name: str) -> None:
    rng = np.random.default_rng(0)
    samples = 4 * ANALYSES[name].fft_length + 77
    time = np.arange(samples) / ANALYSES[name].sample_rate
    waveform = np.stack(
        [
            rng.normal(scale=0.1, size=samples),
            0.3 * np.sin(2 * np.pi * (300 + 9000 * time) * time) + rng.normal(scale=1e-3, size=samples),
            np.zeros(samples),
        ]
    ).astype(np.float32)
    features = Mel40(name)(torch.from_numpy(waveform))
    expected = np.stack([textbook(name, row.astype(np.float64)) for row in waveform])
    assert features.shape == (3, 1, 40, samples // ANALYSES[name].hop_length)
    np.testing.assert_allclose(features[:, 0].numpy(), expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize(
    ("name", "seconds", "frames"), [("logmel40", 10.24, 1024), ("mfcc40", 10.2168, 1024), ("mfcc40_2048", 4.0, 172)]
)
def test_published_sizes(name: str, seconds: float, frames: int) -> None:
    frontend = Mel40(name)
    assert frontend.grid(1).num_frames(round(seconds * frontend.sample_rate)) == frames
    assert frontend(torch.zeros(1, round(seconds * frontend.sample_rate))).shape == (1, 1, 40, frames)


@given(st.sampled_from(NAMES), st.integers(0, 5000))
def test_frames_are_those_of_the_grid(name: str, further: int) -> None:
    frontend = Mel40(name)
    samples = frontend.min_samples + further
    features = frontend(torch.zeros(1, samples))
    assert features.shape[-1] == frontend.grid(1).num_frames(samples) >= 1
    assert math.ceil(features.shape[-1] / 3) == frontend.grid(3).num_frames(samples)


@pytest.mark.parametrize("name", NAMES)
def test_too_short_and_full_precision(name: str) -> None:
    frontend = Mel40(name)
    with pytest.raises(
        ValueError, match=rf"with at least {frontend.min_samples} samples, got \(1, {frontend.min_samples - 1}\)$"
    ):
        frontend(torch.zeros(1, frontend.min_samples - 1))
    assert not frontend.state_dict()
    waveform = torch.randn(2, 5000, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        features = frontend(waveform)
    assert features.dtype == torch.float32
    assert torch.equal(features, frontend(waveform))
    assert torch.equal(frontend.half()(waveform), features) is False  # buffers rounded, arithmetic in float32
    assert torch.isfinite(frontend(torch.zeros(1, 5000))).all()
