"""The spectrogram equals the textbook formula, and seconds, samples and frames agree with what the model gives out."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchaudio.compliance.kaldi import get_mel_banks

from efficient_sed.audio.frontends.mel import MIN_SAMPLES, LogMel, jittered_mel_bank, mel_bank
from efficient_sed.audio.grid import FrameGrid
from efficient_sed.errors import DataError
from efficient_sed.models.factory import create_model

GRID = FrameGrid()


def textbook_log_mel(waveform: np.ndarray) -> np.ndarray:
    """(samples,) -> (128, frames), one frame at a time, in float64."""
    emphasised = waveform[1:] - 0.97 * waveform[:-1]
    padded = np.pad(emphasised, 256, mode="reflect")
    window = np.zeros(512)
    window[56:456] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)
    bank = get_mel_banks(128, 512, 16_000.0, 0.0, 7000.0, 100.0, -500.0, 1.0)[0].double().numpy()
    frames = [
        np.abs(np.fft.rfft(padded[start : start + 512] * window)) ** 2 for start in range(0, len(padded) - 511, 160)
    ]
    mel = bank @ np.stack(frames)[:, :256].T
    return (np.log(np.maximum(mel, 1e-7)) + 4.5) / 5


def sounds(num_samples: int) -> np.ndarray:
    """Noise, a quiet tone, silence: (3, samples)."""
    rng = np.random.default_rng(num_samples)
    tone = 1e-3 * np.sin(2 * np.pi * 1000 / 16_000 * np.arange(num_samples))
    return np.stack(
        [
            rng.normal(scale=0.1, size=num_samples),
            tone + rng.normal(scale=1e-4, size=num_samples),
            np.zeros(num_samples),
        ]
    )


@pytest.mark.parametrize("num_samples", [MIN_SAMPLES, 1600, 16_001, 160_000])
def test_textbook_formula(num_samples: int) -> None:
    waveform = sounds(num_samples)
    mel = LogMel()(torch.from_numpy(waveform).float())
    expected = np.stack([textbook_log_mel(row) for row in waveform])
    assert mel.shape == (3, 1, *expected.shape[1:])
    np.testing.assert_allclose(mel[:, 0].numpy(), expected, rtol=0, atol=1e-3)
    if num_samples == 160_000:
        assert mel.shape == (3, 1, 128, 1000)


@pytest.mark.parametrize("shape", [(1, MIN_SAMPLES - 1), (1, 0), (16_000,), (1, 1, 16_000)])
def test_unusable_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        DataError, match=r"waveform must have shape \(batch, samples\) with at least 258 samples, got \("
    ) as caught:
        LogMel()(torch.zeros(shape))
    assert f"got {shape}" in str(caught.value)


def test_full_precision_whatever_the_model_runs_in() -> None:
    frontend, waveform = LogMel(), torch.from_numpy(sounds(16_000)).float()
    expected = frontend(waveform)
    with torch.autocast("cpu", torch.bfloat16):
        mel = frontend(waveform)
    assert mel.dtype == torch.float32
    assert torch.equal(mel, expected)
    assert frontend(waveform.double()).dtype == torch.float32


def test_nothing_to_store_and_input_untouched() -> None:
    assert not LogMel().state_dict()
    waveform = torch.from_numpy(sounds(16_000)).float()
    before = waveform.clone()
    LogMel()(waveform)
    assert torch.equal(waveform, before)


def test_banks() -> None:
    assert torch.equal(LogMel().bank, mel_bank(0.0, 7000.0))
    released, _ = get_mel_banks(128, 512, 16_000.0, 0.0, 7000.0, 100.0, -500.0, 1.0)
    assert torch.equal(LogMel().bank[:, :-1], released)  # to the last bit: int8 models are sensitive to it
    assert LogMel().bank.shape == (128, 257)
    assert not LogMel().bank[:, 256].any()
    edges = set()
    for seed in range(30):
        bank = jittered_mel_bank(torch.Generator().manual_seed(seed))
        assert torch.equal(bank, jittered_mel_bank(torch.Generator().manual_seed(seed)))
        assert bank.shape == (128, 257)
        assert torch.isfinite(bank).all()
        top = int(bank.any(0).nonzero().max()) * 31.25  # Hz of the highest bin that counts
        assert 5900 < top < 8000
        edges.add(top)
    assert len(edges) > 15
    waveform = torch.from_numpy(sounds(16_000)).float()
    assert not torch.equal(LogMel()(waveform, mel_bank(5.0, 6500.0)), LogMel()(waveform))


@given(st.integers(MIN_SAMPLES, 40_000))
def test_frames_of_a_spectrogram(num_samples: int) -> None:
    frames = LogMel()(torch.zeros(1, num_samples)).shape[-1]
    assert FrameGrid(stride=1).num_frames(num_samples) == frames
    assert GRID.num_frames(num_samples) == math.ceil(frames / 4)


def test_frames_of_a_model() -> None:
    model = create_model("fmn04", num_classes=2).eval()
    assert model.grid == GRID
    for num_samples in (MIN_SAMPLES, 640, 641, 642, 16_000, 16_001, 159_999, 160_000):
        frames = model.score_frames(torch.zeros(1, num_samples)).shape[1]
        assert frames == model.grid.num_frames(num_samples)
    assert GRID.num_frames(160_000) == 250


@given(st.integers(0, 10_000_000))
def test_borders_in_milliseconds(time_ms: int) -> None:
    """Onsets round down, offsets up, and a border on the grid is itself, in spite of binary fractions."""
    exact = Fraction(time_ms, 40)
    assert GRID.onset_frame(time_ms / 1000) == math.floor(exact)
    assert GRID.offset_frame(time_ms / 1000) == math.ceil(exact)


@given(st.floats(0, 600), st.floats(0.001, 600))
def test_an_event_lies_within_its_frames(onset_s: float, length_s: float) -> None:
    first, last = GRID.onset_frame(onset_s), GRID.offset_frame(onset_s + length_s)
    assert first < last
    assert first * GRID.hop_s <= onset_s + 1e-6
    assert last * GRID.hop_s >= onset_s + length_s - 1e-6
    assert (last - first) * GRID.hop_s < length_s + 2 * GRID.hop_s + 1e-6


def test_units() -> None:
    assert GRID.hop_s == 0.04
    assert FrameGrid(44_100, 882, 1).hop_s == 0.02
