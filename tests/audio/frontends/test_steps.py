"""Front ends in NumPy give the spectrograms of PyTorch."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torchaudio.functional import melscale_fbanks

from efficient_sed.audio.frontends.mel import FrontEnd
from efficient_sed.audio.frontends.mel40 import ANALYSES, Mel40
from efficient_sed.audio.frontends.mel_bank import create_mel_bank
from efficient_sed.audio.frontends.mel_filters import Scale, mel_filters
from efficient_sed.audio.frontends.spectrogram import Spectrogram
from efficient_sed.registry import BACKBONES

SHARE = 2e-5  # of the range of values; PyTorch rounds differently from one CPU to the next
RARE = 1e-3  # a narrow band in which a frame cancels holds nothing but the rounding of single precision


def frontends() -> dict[str, FrontEnd]:
    """Those of all registered backbones, by the name of their class, and all analyses of `Mel40`."""
    built = [BACKBONES.get(name)().build_frontend() for name in BACKBONES.names()]
    return {**{type(item).__name__: item for item in built}, **{name: Mel40(name) for name in ANALYSES}}


@pytest.mark.parametrize("name", sorted(frontends()))
def test_the_spectrogram_of_pytorch(name: str) -> None:
    frontend = frontends()[name]
    spectrogram = Spectrogram(frontend.steps(), frontend.hop_length, frontend.first_frame_samples)
    assert json.loads(json.dumps(spectrogram.to_dict()))["steps"]
    for samples in (frontend.min_samples, 20 * frontend.hop_length, frontend.sample_rate + 333):
        loudness = torch.linspace(-0.05, 0.3, samples).relu()
        waveform = loudness * torch.randn(2, samples, generator=torch.Generator().manual_seed(samples))
        expected, found = frontend(waveform).numpy(), spectrogram(waveform.numpy())
        assert found.dtype == np.float32
        assert found.shape == expected.shape
        differences = np.abs(found - expected) / max(1.0, float(np.ptp(expected)))
        assert np.quantile(differences, 0.998) <= SHARE
        assert differences.max() <= RARE


def test_how_many_front_ends_were_seen() -> None:
    assert len(frontends()) >= 10


@pytest.mark.parametrize("scale", ["kaldi", "htk", "slaney"])
def test_mel_filters_of_torchaudio(scale: Scale) -> None:
    """Up to its single precision: of a row's sum, since small weights of an edge are differences of large numbers."""
    ours = mel_filters(64, 1024, 16_000, 60.0, 7800.0, scale)
    theirs = create_mel_bank(64, 1024, 16_000, 60.0, 7800.0, scale=scale).double().numpy()
    assert (np.abs(ours - theirs).sum(1) <= 2e-5 * ours.sum(1)).all()
    assert not np.allclose(ours, melscale_fbanks(513, 0.0, 8000.0, 64, 16_000).T.numpy(), atol=1e-3)
