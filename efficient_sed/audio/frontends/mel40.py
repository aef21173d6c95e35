"""Front ends of dnd-sed and of its replication: 40 logarithmic mel bands, or 40 cepstral coefficients of them.

Drossos et al., "Sound event detection with depthwise separable and dilated convolutions", IJCNN 2020
(https://arxiv.org/abs/2002.00476), section IV-A, and Prinzivalle's replication of 2021. Changed: frames tile the
signal, so that frame k covers [k, k + 1) hops and 1024 hops are 1024 frames; and the logarithm of the cepstrum has no
floor that depends on the loudest frame, which would make each frame depend on all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torchaudio.functional import create_dct

from efficient_sed.audio.frontends.dft import mel_frame_macs, power_spectrum
from efficient_sed.audio.frontends.mel import FrontEnd
from efficient_sed.audio.frontends.mel_bank import create_mel_bank
from efficient_sed.audio.frontends.steps import Cepstrum, Log, MelBands, Pad, Spectrum, Step

NUM_FEATURES = 40
FLOOR = 1e-10  # of the power before the logarithm


@dataclass(frozen=True)
class Analysis:
    """How spectra are computed; lengths in samples."""

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
    # for UrbanSound8K; hop and bands are librosa's defaults
    "mfcc40_2048": Analysis(22_050, 2048, 512, 2048, "hann", 128, True),
}


class TiledMel(FrontEnd):
    """Waveform (batch, samples) -> (batch, 1, features, frames), by frames that tile the signal.

    Features are natural logarithms of mel powers or, with `has_cepstrum`, 40 values of their cosine transform.
    """

    window: Tensor
    bank: Tensor
    cosines: Tensor

    def __init__(self, analysis: Analysis) -> None:
        super().__init__()
        self.analysis = analysis
        self.sample_rate, self.hop_length = analysis.sample_rate, analysis.hop_length
        self.mel_bins = NUM_FEATURES if analysis.has_cepstrum else analysis.mel_bands
        self.first_frame_samples = analysis.hop_length
        outside = analysis.fft_length - analysis.hop_length  # samples of the first frame before and behind its hop
        self._padding = (outside // 2, outside - outside // 2)
        self.min_samples = max(analysis.hop_length, self._padding[1] + 1)  # reflection needs more samples than it adds
        make_window = torch.hamming_window if analysis.window == "hamming" else torch.hann_window
        self.register_buffer("window", make_window(analysis.window_length), persistent=False)
        rate = analysis.sample_rate
        bank = create_mel_bank(analysis.mel_bands, analysis.fft_length, rate, 0.0, rate / 2, scale="slaney")
        self.register_buffer("bank", bank, persistent=False)
        if analysis.has_cepstrum:
            cosines = create_dct(NUM_FEATURES, analysis.mel_bands, norm="ortho").T.contiguous()
            self.register_buffer("cosines", cosines, persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """As `FrontEnd.forward`; logarithms or cepstral coefficients, not normalised."""
        self.check(waveform)
        with torch.autocast(waveform.device.type, enabled=False):
            padded = torch.nn.functional.pad(waveform.float(), self._padding, mode="reflect")
            analysis = self.analysis
            power = power_spectrum(padded, self.window.float(), analysis.fft_length, analysis.hop_length)
            mel = (self.bank.float() @ power).clamp_(min=FLOOR).log_()
            return (self.cosines.float() @ mel if analysis.has_cepstrum else mel).unsqueeze(1)

    def steps(self) -> tuple[Step, ...]:
        """As `FrontEnd.steps`."""
        own = self.analysis
        outside = (own.fft_length - own.window_length) // 2
        spectrum = Spectrum(own.hop_length, own.window_length, own.fft_length, own.window)
        bands = MelBands(own.mel_bands, own.fft_length, own.sample_rate, 0.0, own.sample_rate / 2, "slaney")
        cepstrum = (Cepstrum(NUM_FEATURES),) if own.has_cepstrum else ()
        before, after = (padding - outside for padding in self._padding)
        return Pad(before, after), spectrum, bands, Log(FLOOR), *cepstrum

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        """Multiply-accumulates of a clip; see `models.contracts.CountsMacs`."""
        analysis = self.analysis
        cosines = self.mel_bins * analysis.mel_bands if analysis.has_cepstrum else 0
        frame = mel_frame_macs(analysis.window_length, analysis.fft_length, analysis.mel_bands)
        return output.shape[-1] * (frame + cosines)


class Mel40(TiledMel):
    """A front end of `ANALYSES`, by its name; each frame has 40 features."""

    def __init__(self, name: str) -> None:
        super().__init__(ANALYSES[name])
