"""Log-mel of ERANN equals the textbook formula; no band is empty; ten seconds fill the published maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchaudio.functional import melscale_fbanks

from efficient_sed.audio.frontends.erann import HOP_LENGTH, ErannMel


def test_textbook_formula() -> None:
    """One frame at a time, in float64; a window of four hops lies around the middle of the frame's own."""
    samples, length = 10 * HOP_LENGTH + 17, 4 * HOP_LENGTH
    time = np.arange(samples) / 44_100
    waveform = (
        0.3 * np.sin(2 * np.pi * (300 + 50_000 * time) * time)
        + np.random.default_rng(0).normal(scale=1e-2, size=samples)
    ).astype(np.float32)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    bank = melscale_fbanks(1025, 0.0, 22_050.0, 128, 44_100, norm="slaney", mel_scale="slaney").double().numpy()
    padded = np.pad(waveform.astype(np.float64), 2048, mode="reflect")
    expected = []
    for start in range(0, 10 * HOP_LENGTH, HOP_LENGTH):
        first = 2048 + start - (2048 - HOP_LENGTH) // 2 + (2048 - length) // 2
        expected.append(
            np.log(np.maximum(np.abs(np.fft.rfft(window * padded[first : first + length], 2048)) ** 2 @ bank, 1e-10))
        )
    mel = ErannMel()(torch.from_numpy(waveform)[None])
    assert mel.shape == (1, 1, 128, 10)
    np.testing.assert_allclose(mel[0, 0].numpy(), np.stack(expected, axis=1), rtol=0, atol=2e-3)


def test_every_band_hears_something() -> None:
    assert (ErannMel().bank.sum(1) > 0).all()


@pytest.mark.parametrize(("seconds", "frames"), [(8, 1022), (10, 1278), (4, 511)])
def test_about_128_frames_a_second(seconds: int, frames: int) -> None:
    """They fill steps of 64 frames as 128 a second would."""
    frontend = ErannMel()
    assert frontend.grid(1).num_frames(seconds * 44_100) == frames
    assert frontend.grid(64).num_frames(seconds * 44_100) == 2 * seconds
    assert frontend(torch.zeros(1, seconds * 44_100)).shape == (1, 1, 128, frames)
