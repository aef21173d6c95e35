"""Front ends of dnd-sed and of its replication: 40 logarithmic mel bands, or 40 cepstral coefficients of them.

Drossos et al., "Sound event detection with depthwise separable and dilated convolutions", IJCNN 2020 (https://arxiv.org/abs/2002.00476),
section IV-A, and Prinzivalle's replication of 2021. Changed: frames tile the signal, so that frame k covers [k, k + 1) hops and 1024 hops
are 1024 frames; the logarithm of the cepstrum is not cut off below the loudest frame, which would make a frame depend on all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torchaudio.functional import create_dct, melscale_fbanks

from efficient_sed.audio.frontends.dft import mel_frame_macs, power_spectrum
from efficient_sed.audio.frontends.mel import FrontEnd

NUM_FEATURES = 40
FLOOR = 1e-10  # of the power before the logarithm


@dataclass(frozen=True)
class Analysis:
    """How a signal is cut into spectra."""

    sample_rate: int
    window_length: int
    hop_length: int
    fft_length: int
    window: Literal["hamming", "hann"]
    mel_bands: int
    has_cepstrum: bool


ANALYSES = {
    "logmel40": Analysis(44_100, 882, 441, 1024, "hamming", NUM_FEATURES, False),  # 20 ms, half of it overlapping
    "mfcc40": Analysis(22_050, 440, 220, 512, "hann", NUM_FEATURES, True),
    "mfcc40_2048": Analysis(
        22_050, 2048, 512, 2048, "hann", 128, True
    ),  # for UrbanSound8K; hop and bands are librosa's defaults
}


class TiledMel(FrontEnd):
    """Waveform (batch, samples) -> (batch, 1, features, frames): natural logarithms of mel powers, or 40 values of their cosine transform."""

    window: Tensor
    bank: Tensor
    cosines: Tensor

    def __init__(self, analysis: Analysis) -> None:
        super().__init__()
        self.analysis = analysis
        self.sample_rate, self.hop_length = analysis.sample_rate, analysis.hop_length
        self.mel_bins = NUM_FEATURES if analysis.has_cepstrum else analysis.mel_bands
        self.first_frame_samples = analysis.hop_length
        missing = (
            analysis.fft_length - analysis.hop_length
        )  # samples by which the first frame reaches out of the signal, on both sides
        self._padding = (missing // 2, missing - missing // 2)
        self.min_samples = max(analysis.hop_length, self._padding[1] + 1)  # reflection needs more samples than it adds
        make_window = torch.hamming_window if analysis.window == "hamming" else torch.hann_window
        self.register_buffer("window", make_window(analysis.window_length), persistent=False)
        bins, highest = analysis.fft_length // 2 + 1, analysis.sample_rate / 2
        with torch.device("cpu"):  # it looks for empty bands, which the meta device has no answer to
            bank = melscale_fbanks(
                bins, 0.0, highest, analysis.mel_bands, analysis.sample_rate, norm="slaney", mel_scale="slaney"
            )
        self.register_buffer("bank", bank.T.contiguous(), persistent=False)
        if analysis.has_cepstrum:
            self.register_buffer(
                "cosines", create_dct(NUM_FEATURES, analysis.mel_bands, norm="ortho").T.contiguous(), persistent=False
            )

    def forward(self, waveform: Tensor) -> Tensor:
        self.check(waveform)
        with torch.autocast(waveform.device.type, enabled=False):
            padded = torch.nn.functional.pad(waveform.float(), self._padding, mode="reflect")
            analysis = self.analysis
            power = power_spectrum(
                padded, self.window.float(), analysis.fft_length, analysis.hop_length
            )  # (B, bins, frames)
            mel = (self.bank.float() @ power).clamp_(min=FLOOR).log_()
            return (self.cosines.float() @ mel if analysis.has_cepstrum else mel).unsqueeze(1)

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        """Multiply-accumulates of a clip; see `models.contracts.CountsMacs`."""
        analysis = self.analysis
        cosines = self.mel_bins * analysis.mel_bands if analysis.has_cepstrum else 0
        frame = mel_frame_macs(analysis.window_length, analysis.fft_length, analysis.mel_bands)
        return output.shape[-1] * (frame + cosines)


class Mel40(TiledMel):
    """One of `ANALYSES`: 40 features of a frame."""

    def __init__(self, name: str) -> None:
        super().__init__(ANALYSES[name])
