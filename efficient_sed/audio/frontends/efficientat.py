"""Front end of EfficientAT's taggers: the log-mel of the released detectors at 32 kHz, with another floor.

Code of Schmid et al. 2023 (https://github.com/fschmid56/EfficientAT): a window of 25 ms, 0 to 15 kHz.
"""

from __future__ import annotations

import torch
from torch import Tensor

from efficient_sed.audio.frontends.dft import centre_pad, mel_frame_macs, power_spectrum
from efficient_sed.audio.frontends.mel import LOG_OFFSET, LOG_SCALE, PRE_EMPHASIS, FrontEnd
from efficient_sed.audio.frontends.mel_bank import create_mel_bank

SAMPLE_RATE = 32_000
WINDOW_LENGTH, HOP_LENGTH, FFT_LENGTH = 800, 320, 1024
MEL_BINS = 128
LOW_HZ, HIGH_HZ = 0.0, 15_000.0
FLOOR = 1e-5  # added before the logarithm


class EfficientAtMel(FrontEnd):
    """Waveform (batch, samples) at 32 kHz -> (batch, 1, 128, frames), 100 frames a second."""

    window: Tensor
    bank: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.sample_rate, self.hop_length, self.mel_bins = SAMPLE_RATE, HOP_LENGTH, MEL_BINS
        self.first_frame_samples, self.min_samples = 1, FFT_LENGTH // 2 + 2
        bank = create_mel_bank(MEL_BINS, FFT_LENGTH, SAMPLE_RATE, LOW_HZ, HIGH_HZ, scale="kaldi")
        self.register_buffer("window", torch.hann_window(WINDOW_LENGTH, periodic=False), persistent=False)
        self.register_buffer("bank", bank, persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """See `FrontEnd.forward`."""
        self.check(waveform)
        with torch.autocast(waveform.device.type, enabled=False):
            waveform = waveform.float()
            emphasised = waveform[:, 1:] - PRE_EMPHASIS * waveform[:, :-1]
            power = power_spectrum(centre_pad(emphasised, FFT_LENGTH), self.window.float(), FFT_LENGTH, HOP_LENGTH)
            mel = self.bank.float() @ power
            return (((mel + FLOOR).log_() + LOG_OFFSET) / LOG_SCALE).unsqueeze(1)

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        """Multiply-accumulates of a clip; see `models.contracts.CountsMacs`."""
        pre_emphasis = inputs[0].shape[1] - 1
        return pre_emphasis + output.shape[-1] * mel_frame_macs(WINDOW_LENGTH, FFT_LENGTH, MEL_BINS)
