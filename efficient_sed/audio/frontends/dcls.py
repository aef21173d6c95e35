"""Front end of DCLS-Audio: log-mel in decibels, normalised.

Khalfaoui-Hassani et al., "Audio classification with Dilated Convolution with Learnable Spacings", 2023
(https://arxiv.org/abs/2309.13972), section 3.1 and table 2: power spectrum, mel bands on the HTK scale without
normalisation of their areas, decibels, AudioSet's mean and standard deviation.
"""

from __future__ import annotations

import torch
from torch import Tensor

from efficient_sed.audio.frontends.dft import centre_pad, mel_frame_macs, power_spectrum
from efficient_sed.audio.frontends.mel import FrontEnd
from efficient_sed.audio.frontends.mel_bank import create_mel_bank
from efficient_sed.audio.frontends.steps import POWER_DB, Log, MelBands, Pad, Scaled, Spectrum, Step

SAMPLE_RATE = 32_000
HOP_LENGTH = 320  # 10 ms
FFT_LENGTH = 1024  # 32 ms, the window too
MEL_BINS = 128
LOW_HZ, HIGH_HZ = 50.0, 14_000.0
FLOOR = 1e-10  # of the power, -100 dB
MEAN_DB, DEVIATION_DB = -18.2696, 30.5735


class DecibelMel(FrontEnd):
    """Waveform (batch, samples) at 32 kHz -> (batch, 1, 128, frames), 100 frames a second.

    Frames are centred on multiples of the hop, both ends of the clip included: 10 s are 1001 frames.
    """

    window: Tensor
    bank: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.sample_rate, self.hop_length, self.mel_bins = SAMPLE_RATE, HOP_LENGTH, MEL_BINS
        self.first_frame_samples = 0
        self.min_samples = FFT_LENGTH // 2 + 1  # reflect padding needs more samples than it adds
        self.register_buffer("window", torch.hann_window(FFT_LENGTH), persistent=False)
        bank = create_mel_bank(MEL_BINS, FFT_LENGTH, SAMPLE_RATE, LOW_HZ, HIGH_HZ, scale="htk")
        self.register_buffer("bank", bank, persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """As `FrontEnd.forward`; in decibels, normalised."""
        self.check(waveform)
        with torch.autocast(waveform.device.type, enabled=False):
            padded = centre_pad(waveform.float(), FFT_LENGTH)
            power = power_spectrum(padded, self.window.float(), FFT_LENGTH, HOP_LENGTH)  # (B, 513, frames)
            decibels = (self.bank.float() @ power).clamp_(min=FLOOR).log10_().mul_(10)
            return decibels.sub_(MEAN_DB).div_(DEVIATION_DB).unsqueeze(1)

    def steps(self) -> tuple[Step, ...]:
        """As `FrontEnd.steps`."""
        spectrum = Spectrum(HOP_LENGTH, FFT_LENGTH, FFT_LENGTH)
        bands = MelBands(MEL_BINS, FFT_LENGTH, SAMPLE_RATE, LOW_HZ, HIGH_HZ, "htk")
        decibels = Log(FLOOR, POWER_DB), Scaled(-MEAN_DB, 1 / DEVIATION_DB)
        return Pad(FFT_LENGTH // 2, FFT_LENGTH // 2), spectrum, bands, *decibels

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        """Multiply-accumulates of a clip; see `models.contracts.CountsMacs`."""
        return output.shape[-1] * mel_frame_macs(FFT_LENGTH, FFT_LENGTH, self.mel_bins)
