"""Front ends of the transformers that Schmid et al. released with PretrainedSED (https://arxiv.org/abs/2409.09546).

BEATs (https://arxiv.org/abs/2212.09058) and ASiT (https://arxiv.org/abs/2211.13189) hear Kaldi's filter bank, ATST-Frame
(https://arxiv.org/abs/2306.04186) and M2D (https://arxiv.org/abs/2406.02032) spectra centred on every tenth millisecond, fPaSST (https://arxiv.org/abs/2110.05069) very nearly what
the released students hear. Changed: a clip has as
many frames as `LogMel` gives it, 1000 for 10 s, so that four of them are a step of the released students. There the filter bank ends with the
last whole window, at 998 frames, which zeros behind the signal fill up here; and the spectra have one more, centred on the end of the clip.
"""

from __future__ import annotations

import abc

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from efficient_sed.audio.frontends.dft import (
    Float64Array,
    centre_pad,
    filtered_power,
    fourier_filters,
    mel_frame_macs,
    power_spectrum,
)
from efficient_sed.audio.frontends.mel import WINDOW_LENGTH, FrontEnd, LogMel
from efficient_sed.audio.grid import HOP_LENGTH, SAMPLE_RATE
from efficient_sed.audio.mel_bank import Scale, create_mel_bank

KALDI_WINDOW, KALDI_FFT, KALDI_BINS = 400, 512, 128  # 25 ms
KALDI_LOW_HZ = 20.0
KALDI_FLOOR = float(np.finfo(np.float32).eps)  # of the power
PRE_EMPHASIS = 0.97
INT16_SCALE = 2.0**15
BEATS_MEAN, BEATS_DEVIATION = 15.41663, 6.55582
ASIT_MEAN, ASIT_DEVIATION = -4.2677393, 4.5689974
ATST_FFT, ATST_BINS, ATST_LOW_HZ, ATST_HIGH_HZ = 1024, 64, 60.0, 7800.0
ATST_FLOOR, ATST_RANGE_DB = 1e-10, 80.0  # of the power; below a clip's loudest value
ATST_LIMITS_DB, ATST_LOWEST_DB, ATST_HIGHEST_DB = (-50.0, 80.0), -79.6482, 50.6842
M2D_FFT, M2D_BINS, M2D_LOW_HZ, M2D_HIGH_HZ = 400, 80, 50.0, 8000.0
M2D_FLOOR = float(np.finfo(np.float32).eps)
M2D_MEAN, M2D_DEVIATION = -7.1, 4.2


def num_frames(num_samples: int) -> int:
    """Frames that begin inside the signal."""
    return 1 + (num_samples - 1) // HOP_LENGTH


class TransformerFrontEnd(FrontEnd):
    """Waveform (batch, samples), 16 kHz -> (batch, 1, mel_bins, frames)."""

    bank: Tensor

    def __init__(self, bank: Tensor, min_samples: int) -> None:
        super().__init__()
        self.sample_rate, self.hop_length, self.mel_bins = SAMPLE_RATE, HOP_LENGTH, len(bank)
        self.first_frame_samples, self.min_samples = 1, min_samples
        self.register_buffer("bank", bank, persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        self.check(waveform)
        with torch.autocast(waveform.device.type, enabled=False):
            return self.normalise(self.bank.float() @ self.power(waveform.float()))[
                :, None, :, : num_frames(waveform.shape[1])
            ]

    @abc.abstractmethod
    def power(self, waveform: Tensor) -> Tensor:
        """Spectra (batch, frequencies, frames), one more frame at most than the clip has."""

    @abc.abstractmethod
    def normalise(self, mel: Tensor) -> Tensor:
        """What the network was trained on, from powers (batch, mel_bins, frames)."""


class KaldiMel(TransformerFrontEnd):
    """Kaldi's filter bank without dither: the mean of each window removed, pre-emphasis in the window, natural logarithm.

    Args:
        power_of_hann: Exponent of the Hann window.
    """

    window: Tensor

    def __init__(self, power_of_hann: float) -> None:
        bank = create_mel_bank(KALDI_BINS, KALDI_FFT, SAMPLE_RATE, KALDI_LOW_HZ, SAMPLE_RATE / 2, scale="kaldi")
        super().__init__(torch.tensor(bank), KALDI_WINDOW)
        self.register_buffer(
            "window", torch.hann_window(KALDI_WINDOW, periodic=False) ** power_of_hann, persistent=False
        )

    def power(self, waveform: Tensor) -> Tensor:
        missing = (
            KALDI_WINDOW - HOP_LENGTH + num_frames(waveform.shape[1]) * HOP_LENGTH - waveform.shape[1]
        )  # of the last frame's window
        padded = F.pad(waveform, (0, missing))
        if torch.onnx.is_in_onnx_export():
            # no window's spectrum has the mean, but the rounding of the filters would
            return filtered_power(padded - padded.mean(1, keepdim=True), kaldi_filters(self.window), HOP_LENGTH)
        windows = padded.unfold(1, KALDI_WINDOW, HOP_LENGTH)
        windows = windows - windows.mean(2, keepdim=True)
        emphasised = windows - PRE_EMPHASIS * torch.cat([windows[:, :, :1], windows[:, :, :-1]], dim=2)
        power: Tensor = torch.fft.rfft(emphasised * self.window.float(), KALDI_FFT).abs().square()
        return power.transpose(1, 2)

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        """Multiply-accumulates of a clip; see `models.contracts.CountsMacs`."""
        pre_emphasis = KALDI_WINDOW
        return output.shape[-1] * (pre_emphasis + mel_frame_macs(KALDI_WINDOW, KALDI_FFT, self.mel_bins))


def kaldi_filters(window: Tensor) -> Float64Array:
    """Mean removal, pre-emphasis, window and Fourier transform as one linear map: shape (514, 400)."""
    centred = np.eye(KALDI_WINDOW) - 1 / KALDI_WINDOW
    emphasised = centred - PRE_EMPHASIS * np.concatenate([centred[:1], centred[:-1]])
    return fourier_filters(KALDI_FFT, KALDI_WINDOW) * window.double().numpy() @ emphasised


class BeatsMel(KaldiMel):
    """128 bands of a signal in steps of 16 bits, Povey's window."""

    def __init__(self) -> None:
        super().__init__(power_of_hann=0.85)

    def power(self, waveform: Tensor) -> Tensor:
        return super().power(waveform * INT16_SCALE)

    def normalise(self, mel: Tensor) -> Tensor:
        return (mel.clamp(min=KALDI_FLOOR).log() - BEATS_MEAN) / (2 * BEATS_DEVIATION)


class AsitMel(KaldiMel):
    """128 bands of a clip whose mean is taken off, Hann window."""

    def __init__(self) -> None:
        super().__init__(power_of_hann=1.0)

    def power(self, waveform: Tensor) -> Tensor:
        return super().power(waveform - waveform.mean(1, keepdim=True))

    def normalise(self, mel: Tensor) -> Tensor:
        return (mel.clamp(min=KALDI_FLOOR).log() - ASIT_MEAN) / (2 * ASIT_DEVIATION)


class CentredMel(TransformerFrontEnd):
    """Spectra of a Hann window as long as the Fourier transform, centred on multiples of the hop.

    Args:
        scale: As `create_mel_bank` takes it.
    """

    window: Tensor

    def __init__(self, fft_length: int, mel_bins: int, low_hz: float, high_hz: float, scale: Scale) -> None:
        bank = create_mel_bank(mel_bins, fft_length, SAMPLE_RATE, low_hz, high_hz, scale=scale)
        super().__init__(torch.tensor(bank), fft_length // 2 + 1)  # reflect padding needs more samples than it adds
        self.register_buffer("window", torch.hann_window(fft_length), persistent=False)

    @property
    def fft_length(self) -> int:
        return len(self.window)

    def power(self, waveform: Tensor) -> Tensor:
        return power_spectrum(centre_pad(waveform, self.fft_length), self.window.float(), self.fft_length, HOP_LENGTH)

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        """Multiply-accumulates of a clip; see `models.contracts.CountsMacs`."""
        return output.shape[-1] * mel_frame_macs(self.fft_length, self.fft_length, self.mel_bins)


class AtstMel(CentredMel):
    """64 bands in decibels, from 80 below the clip's loudest value, scaled to [-1, 1].

    Changed: there the loudest value is that of the batch, so that a quiet clip depended on its neighbours.
    """

    def __init__(self) -> None:
        super().__init__(ATST_FFT, ATST_BINS, ATST_LOW_HZ, ATST_HIGH_HZ, scale="htk")

    def normalise(self, mel: Tensor) -> Tensor:
        decibels = 10 * mel.clamp(min=ATST_FLOOR).log10()
        decibels = torch.maximum(decibels, decibels.amax((1, 2), keepdim=True) - ATST_RANGE_DB).clamp(*ATST_LIMITS_DB)
        return (decibels - ATST_LOWEST_DB) / (ATST_HIGHEST_DB - ATST_LOWEST_DB) * 2 - 1


class M2dMel(CentredMel):
    """80 bands of Slaney's scale and area, natural logarithm."""

    def __init__(self) -> None:
        super().__init__(M2D_FFT, M2D_BINS, M2D_LOW_HZ, M2D_HIGH_HZ, scale="slaney")

    def normalise(self, mel: Tensor) -> Tensor:
        return ((mel + M2D_FLOOR).log() - M2D_MEAN) / M2D_DEVIATION


class PasstMel(LogMel):
    """`LogMel` with the periodic kind of Hann window."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(WINDOW_LENGTH), persistent=False)
