"""Front ends of the transformers against torchaudio's, in double precision, and their number of frames."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torchaudio.compliance.kaldi import fbank
from torchaudio.transforms import AmplitudeToDB, MelSpectrogram

from efficient_sed.audio.frontends.asit import AsitMel
from efficient_sed.audio.frontends.atst import AtstMel
from efficient_sed.audio.frontends.beats import BeatsMel
from efficient_sed.audio.frontends.m2d import M2dMel
from efficient_sed.audio.frontends.mel import LogMel
from efficient_sed.audio.frontends.passt import PasstMel
from efficient_sed.audio.frontends.transformers import KaldiMel, TransformerFrontEnd

ALL = (BeatsMel, AtstMel, M2dMel, AsitMel)
BINS = {BeatsMel: 128, AtstMel: 64, M2dMel: 80, AsitMel: 128}


def sound(batch: int, samples: int) -> Tensor:
    """Noise that swells from -80 dB, with a constant part."""
    noise = torch.randn(batch, samples, generator=torch.Generator().manual_seed(samples))
    return 0.01 + noise * torch.logspace(-4, -0.5, samples)


def beats(waveform: Tensor) -> Tensor:
    return (
        torch.stack([fbank(clip[None] * 2**15, num_mel_bins=128, sample_frequency=16_000).T for clip in waveform])
        - 15.41663
    ) / (2 * 6.55582)


def asit(waveform: Tensor) -> Tensor:
    centred = waveform - waveform.mean(1, keepdim=True)
    return (
        torch.stack(
            [fbank(clip[None], num_mel_bins=128, sample_frequency=16_000, window_type="hanning").T for clip in centred]
        )
        + 4.2677393
    ) / (2 * 4.5689974)


def atst(waveform: Tensor) -> Tensor:
    mel = MelSpectrogram(16_000, 1024, hop_length=160, f_min=60, f_max=7800, n_mels=64).double()
    decibels = AmplitudeToDB("power", 80)(mel(waveform)[:, None])[:, 0].clamp(-50, 80)
    return (decibels + 79.6482) / (50.6842 + 79.6482) * 2 - 1


def m2d(waveform: Tensor) -> Tensor:
    mel = MelSpectrogram(
        16_000, 400, hop_length=160, f_min=50, f_max=8000, n_mels=80, norm="slaney", mel_scale="slaney"
    ).double()
    return ((mel(waveform) + torch.finfo(torch.float32).eps).log() + 7.1) / 4.2


REFERENCES = {BeatsMel: beats, AsitMel: asit, AtstMel: atst, M2dMel: m2d}


@pytest.mark.parametrize("samples", [160_000, 16_000, 59_263])
@pytest.mark.parametrize("cls", ALL)
def test_torchaudio_gives_the_same(cls: type[TransformerFrontEnd], samples: int) -> None:
    """Whatever frames both have: Kaldi's end with the last whole window, centred ones with the end of the clip."""
    waveform = sound(2, samples)
    expected = REFERENCES[cls](waveform.double()).numpy()
    mel = cls()(waveform)[:, 0].numpy()  # type: ignore[call-arg]
    assert abs(mel.shape[2] - expected.shape[2]) <= 3
    common = min(mel.shape[2], expected.shape[2])
    difference = np.abs(mel[..., :common] - expected[..., :common])
    assert np.quantile(difference, 0.999) < 2e-5
    assert difference.max() < 5e-4  # where a band is 80 dB below the others, float32 rounds no better


@pytest.mark.parametrize("cls", ALL)
def test_frames_are_those_of_the_students(cls: type[TransformerFrontEnd]) -> None:
    ours, students = cls(), LogMel()  # type: ignore[call-arg]
    assert ours.grid(4) == students.grid(4)
    for samples in (max(ours.min_samples, students.min_samples), 799, 800, 801, 16_000, 16_001, 160_000):
        mel = ours(sound(2, samples))
        assert mel.shape == (2, 1, BINS[cls], students(sound(1, samples)).shape[3])  # type: ignore[index]
        assert torch.isfinite(mel).all()
        assert (mel.shape[3] + 3) // 4 == ours.grid(4).num_frames(samples)
    with pytest.raises(ValueError, match=rf"at least {ours.min_samples} samples, got \(1, {ours.min_samples - 1}\)$"):
        ours(torch.zeros(1, ours.min_samples - 1))


@pytest.mark.parametrize("cls", [*ALL, PasstMel])
def test_a_clip_does_not_depend_on_its_neighbours(cls: type[TransformerFrontEnd]) -> None:
    """ATST-Frame's published front end does: the floor of a quiet clip is that of the loudest."""
    frontend, waveform = cls(), sound(3, 16_000) * torch.tensor([1.0, 1e-4, 1e-2])[:, None]  # type: ignore[call-arg]
    together = frontend(waveform)
    for index in range(3):
        torch.testing.assert_close(
            together[index : index + 1], frontend(waveform[index : index + 1]), rtol=0, atol=2e-4
        )


@pytest.mark.parametrize("cls", [*ALL, PasstMel])
def test_silence_and_autocast(cls: type[TransformerFrontEnd]) -> None:
    frontend = cls()  # type: ignore[call-arg]
    assert torch.isfinite(frontend(torch.zeros(1, 16_000))).all()
    with torch.autocast("cpu", torch.bfloat16):
        mel = frontend(sound(1, 16_000))
    assert mel.dtype == torch.float32
    torch.testing.assert_close(mel, frontend(sound(1, 16_000)))


def test_passt_hears_nearly_what_the_students_hear() -> None:
    waveform = sound(1, 16_000)
    difference = (PasstMel()(waveform) - LogMel()(waveform)).abs()
    assert 1e-3 < difference.max() < 0.2
    assert not PasstMel().window[0]
    assert PasstMel().window[1] == PasstMel().window[-1]  # periodic


@pytest.mark.parametrize(("made", "window"), [(BeatsMel, "povey"), (AsitMel, "hanning")])
def test_kaldi_by_torchaudio(made: type[KaldiMel], window: str) -> None:
    """The same (here bit for bit), but for the frames that zeros behind the signal add."""
    waveform = 0.1 * torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0)) + 0.01
    given = waveform * 2**15 if made is BeatsMel else waveform - waveform.mean()
    bank = fbank(given, num_mel_bins=128, sample_frequency=16_000, window_type=window, dither=0.0)
    mean, deviation = (15.41663, 6.55582) if made is BeatsMel else (-4.2677393, 4.5689974)
    torch.testing.assert_close(
        made()(waveform)[0, 0, :, : len(bank)].T, (bank - mean) / (2 * deviation), rtol=0, atol=1e-5
    )
