"""The front end of DCLS-Audio equals the textbook formula and gives the published size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from efficient_sed.audio.frontends.dcls import DecibelMel


def textbook(waveform: np.ndarray) -> np.ndarray:
    """(samples,) -> (128, frames), one frame and one band at a time, in float64."""
    edges = 700 * (
        10 ** (np.linspace(2595 * np.log10(1 + 50 / 700), 2595 * np.log10(1 + 14_000 / 700), 130) / 2595) - 1
    )
    hz = np.arange(513) * 32_000 / 1024
    bank = np.stack(
        [
            np.clip(np.minimum((hz - low) / (mid - low), (high - hz) / (high - mid)), 0, None)
            for low, mid, high in zip(edges, edges[1:], edges[2:], strict=False)
        ]
    )
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
    padded = np.pad(waveform, 512, mode="reflect")
    frames = []
    for start in range(0, len(waveform) + 1, 320):
        power = np.abs(np.fft.rfft(window * padded[start : start + 1024])) ** 2
        frames.append(10 * np.log10(np.maximum(bank @ power, 1e-10)))
    return (np.stack(frames, axis=1) + 18.2696) / 30.5735


def test_textbook_formula() -> None:
    rng = np.random.default_rng(0)
    time = np.arange(5000) / 32_000
    waveform = np.stack(
        [rng.normal(scale=0.1, size=5000), 0.3 * np.sin(2 * np.pi * (300 + 9000 * time) * time), np.zeros(5000)]
    ).astype(np.float32)
    features = DecibelMel()(torch.from_numpy(waveform))
    expected = np.stack([textbook(row.astype(np.float64)) for row in waveform])
    assert features.shape == (3, 1, 128, 16)
    np.testing.assert_allclose(features[[0, 2], 0].numpy(), expected[[0, 2]], rtol=0, atol=1e-4)
    loud = expected[1] > expected[1].max() - 80 / 30.5735  # below that, float32's rounding of the loud bands shows
    np.testing.assert_allclose(features[1, 0].numpy()[loud], expected[1][loud], rtol=0, atol=1e-2)


def test_published_size() -> None:
    assert DecibelMel()(torch.zeros(1, 320_000)).shape == (1, 1, 128, 1001)


@pytest.mark.parametrize(("samples", "frames"), [(513, 2), (640, 3), (5119, 16), (5120, 17)])
def test_number_of_frames(samples: int, frames: int) -> None:
    frontend = DecibelMel()
    assert frontend(torch.randn(1, samples)).shape[-1] == frontend.grid(1).num_frames(samples) == frames


def test_too_short() -> None:
    with pytest.raises(ValueError, match=r"at least 513 samples, got \(1, 512\)"):
        DecibelMel()(torch.zeros(1, 512))
