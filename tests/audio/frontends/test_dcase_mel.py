"""The front end of DCASE Task 4's baseline against torchaudio's transforms, which it is made of."""

from __future__ import annotations

import pytest
import torch
from torchaudio.transforms import AmplitudeToDB, MelSpectrogram

from efficient_sed.audio.frontends.dcase import DcaseMel


def reference(waveform: torch.Tensor) -> torch.Tensor:
    mel = MelSpectrogram(
        16_000, 2048, hop_length=256, f_min=0, f_max=8000, n_mels=128, window_fn=torch.hamming_window,
        wkwargs={"periodic": False}, power=1,
    )  # fmt: skip
    to_decibels = AmplitudeToDB(stype="amplitude")
    to_decibels.amin = 1e-5
    num_frames = 1 + (waveform.shape[1] - 1) // 256
    decibels = to_decibels(mel(waveform))[..., :num_frames].clamp(min=-50, max=80)
    low, high = decibels.amin((1, 2), keepdim=True), decibels.amax((1, 2), keepdim=True)
    return (decibels - low) / (high - low + 1e-8)


def test_equals_torchaudio() -> None:
    waveform = torch.randn(3, 20_480, generator=torch.Generator().manual_seed(0)) * torch.tensor([[1e-3], [0.1], [1.0]])
    mel = DcaseMel()(waveform)
    torch.testing.assert_close(mel[:, 0], reference(waveform), atol=2e-5, rtol=0)
    assert (mel.amin(), mel.amax()) == (0, 1)
    torch.testing.assert_close(DcaseMel()(waveform[:1]), mel[:1], atol=2e-5, rtol=0)  # by clip, not by batch


def test_silence_is_finite() -> None:
    assert not DcaseMel()(torch.zeros(1, 16_000)).any()


@pytest.mark.parametrize(("samples", "frames"), [(160_000, 625), (160_001, 626), (159_745, 625), (1025, 5)])
def test_frames(samples: int, frames: int) -> None:
    frontend = DcaseMel()
    assert frontend(torch.randn(1, samples)).shape == (1, 1, 128, frames)
    assert frontend.grid(1).num_frames(samples) == frames
    assert frontend.grid(4).num_frames(samples) == -(-frames // 4)
