"""Front end of the DCASE Task 4 baseline: mel bands of magnitudes in decibels, each clip scaled to [0, 1].

Configuration of the baseline of 2023 (https://github.com/DCASE-REPO/DESED_task, recipes/dcase2023_task4_baseline):
Hamming windows of 2048 samples each 256, magnitudes, 128 mel bands on the HTK scale up to 8 kHz, decibels limited to
-50 to 80, and the clip's lowest and highest value scaled to 0 and 1. Changed: there is no frame that is centred on the
end of the clip.
"""

from __future__ import annotations

import torch
from torch import Tensor

from efficient_sed.audio.frontends.dft import centre_pad, mel_frame_macs, power_spectrum
from efficient_sed.audio.frontends.mel import FrontEnd
from efficient_sed.audio.frontends.mel_bank import create_mel_bank
from efficient_sed.audio.frontends.steps import POWER_DB, Limit, Log, MelBands, Pad, Spectrum, Step, UnitRange
from efficient_sed.audio.grid import SAMPLE_RATE

HOP_LENGTH = 256  # 16 ms
FFT_LENGTH = 2048  # 128 ms, the window too
MEL_BINS = 128
FLOOR = 1e-5  # of the magnitude
LOWEST_DB, HIGHEST_DB = -50.0, 80.0
EPSILON = 1e-8  # of the range: silence gives zeros


class DcaseMel(FrontEnd):
    """Waveform (batch, samples) at 16 kHz -> (batch, 1, 128, frames), 62.5 frames a second.

    Frame k is centred on sample k * HOP_LENGTH: 10 s are 625 frames.
    """

    window: Tensor
    bank: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.sample_rate, self.hop_length, self.mel_bins = SAMPLE_RATE, HOP_LENGTH, MEL_BINS
        self.first_frame_samples = 1
        self.min_samples = FFT_LENGTH // 2 + 1  # reflect padding needs more samples than it adds
        self.register_buffer("window", torch.hamming_window(FFT_LENGTH, periodic=False), persistent=False)
        bank = create_mel_bank(MEL_BINS, FFT_LENGTH, SAMPLE_RATE, 0.0, SAMPLE_RATE / 2, scale="htk")
        self.register_buffer("bank", bank, persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """As `FrontEnd.forward`; values in [0, 1]."""
        self.check(waveform)
        with torch.autocast(waveform.device.type, enabled=False):
            padded = centre_pad(waveform.float(), FFT_LENGTH)[:, : waveform.shape[1] + FFT_LENGTH - 1]
            magnitude = power_spectrum(padded, self.window.float(), FFT_LENGTH, HOP_LENGTH).sqrt()  # (B, 1025, frames)
            decibels = (self.bank.float() @ magnitude).clamp(min=FLOOR).log10().mul(20).clamp(LOWEST_DB, HIGHEST_DB)
            lowest, highest = decibels.amin((1, 2), keepdim=True), decibels.amax((1, 2), keepdim=True)
            return ((decibels - lowest) / (highest - lowest + EPSILON)).unsqueeze(1)

    def steps(self) -> tuple[Step, ...]:
        """As `FrontEnd.steps`."""
        spectrum = Spectrum(HOP_LENGTH, FFT_LENGTH, FFT_LENGTH, "hamming", is_periodic=False, exponent=1.0)
        bands = MelBands(MEL_BINS, FFT_LENGTH, SAMPLE_RATE, 0.0, SAMPLE_RATE / 2, "htk")
        decibels = Log(FLOOR, 2 * POWER_DB), Limit(LOWEST_DB, HIGHEST_DB), UnitRange(EPSILON)
        return Pad(FFT_LENGTH // 2, FFT_LENGTH // 2 - 1), spectrum, bands, *decibels

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        """Multiply-accumulates of a clip; see `models.contracts.CountsMacs`."""
        return output.shape[-1] * mel_frame_macs(FFT_LENGTH, FFT_LENGTH, self.mel_bins)
