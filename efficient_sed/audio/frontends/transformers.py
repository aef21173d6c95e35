"""What the front ends of transformers share: Kaldi's filter bank, and spectra centred on multiples of the hop.

They are those that Schmid et al. released with PretrainedSED (https://arxiv.org/abs/2409.09546). Changed: a clip has as
many frames as `LogMel` gives it, 1000 for 10 s, so that four frames are a step of the released students. In
PretrainedSED Kaldi's filter bank ends with the last whole window, at 998 frames (here zeros follow the signal), and the
centred spectra have one frame more, centred on the end of the clip.
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
from efficient_sed.audio.frontends.mel import FrontEnd
from efficient_sed.audio.frontends.mel_bank import create_mel_bank
from efficient_sed.audio.frontends.mel_filters import Scale
from efficient_sed.audio.frontends.steps import Log, MelBands, Pad, Scaled, Spectrum, Step
from efficient_sed.audio.grid import HOP_LENGTH, SAMPLE_RATE

KALDI_WINDOW, KALDI_FFT, KALDI_BINS = 400, 512, 128  # 25 ms
KALDI_LOW_HZ = 20.0
KALDI_FLOOR = float(np.finfo(np.float32).eps)  # of the power
PRE_EMPHASIS = 0.97


class TransformerFrontEnd(FrontEnd):
    """Waveform (batch, samples) at 16 kHz -> (batch, 1, mel_bins, frames).

    Args:
        bank: Mel filters, shape (mel_bins, frequencies).
        min_samples: Samples that a clip must have.
    """

    bank: Tensor

    def __init__(self, bank: Tensor, min_samples: int) -> None:
        super().__init__()
        self.sample_rate, self.hop_length, self.mel_bins = SAMPLE_RATE, HOP_LENGTH, len(bank)
        self.first_frame_samples, self.min_samples = 1, min_samples
        self.register_buffer("bank", bank, persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """As `FrontEnd.forward`; by `power`, the mel filters, and `normalise`."""
        self.check(waveform)
        with torch.autocast(waveform.device.type, enabled=False):
            mel = self.normalise(self.bank.float() @ self.power(waveform.float()))
            return mel[:, None, :, : num_frames(waveform.shape[1])]

    @abc.abstractmethod
    def power(self, waveform: Tensor) -> Tensor:
        """Compute spectra (batch, frequencies, frames); at most one frame more than the output."""

    @abc.abstractmethod
    def normalise(self, mel: Tensor) -> Tensor:
        """Turn powers (batch, mel_bins, frames) into what the network was trained on."""


class KaldiMel(TransformerFrontEnd):
    """Kaldi's filter bank without dither: each window's mean removed, pre-emphasis inside the window, logarithm.

    Args:
        power_of_hann: Exponent of the Hann window.
        mean: Of the logarithm over the training data.
        deviation: Standard deviation of the logarithm over the training data.
    """

    window: Tensor

    def __init__(self, power_of_hann: float, mean: float, deviation: float) -> None:
        bank = create_mel_bank(KALDI_BINS, KALDI_FFT, SAMPLE_RATE, KALDI_LOW_HZ, SAMPLE_RATE / 2, scale="kaldi")
        super().__init__(bank, KALDI_WINDOW)
        self._power_of_hann, self._mean, self._deviation = power_of_hann, mean, deviation
        window = torch.hann_window(KALDI_WINDOW, periodic=False) ** power_of_hann
        self.register_buffer("window", window, persistent=False)

    def power(self, waveform: Tensor) -> Tensor:
        """As `TransformerFrontEnd.power`; frame k begins at sample k * HOP_LENGTH."""
        num_samples = waveform.shape[1]
        last_end = (num_frames(num_samples) - 1) * HOP_LENGTH + KALDI_WINDOW
        padded = F.pad(waveform, (0, last_end - num_samples))
        if torch.onnx.is_in_onnx_export():
            # The mean changes no spectrum, but taking it off first keeps the rounding of the filters small.
            return filtered_power(padded - padded.mean(1, keepdim=True), kaldi_filters(self.window), HOP_LENGTH)
        windows = padded.unfold(1, KALDI_WINDOW, HOP_LENGTH)
        windows = windows - windows.mean(2, keepdim=True)
        emphasised = windows - PRE_EMPHASIS * torch.cat([windows[:, :, :1], windows[:, :, :-1]], dim=2)
        power: Tensor = torch.fft.rfft(emphasised * self.window.float(), KALDI_FFT).abs().square()
        return power.transpose(1, 2)

    def normalise(self, mel: Tensor) -> Tensor:
        """As `TransformerFrontEnd.normalise`; to mean 0 and standard deviation 1/2."""
        return (mel.clamp(min=KALDI_FLOOR).log() - self._mean) / (2 * self._deviation)

    def steps(self) -> tuple[Step, ...]:
        """As `FrontEnd.steps`."""
        spectrum = Spectrum(
            HOP_LENGTH, KALDI_WINDOW, KALDI_FFT, "hann", is_periodic=False, window_power=self._power_of_hann,
            pre_emphasis=PRE_EMPHASIS,
        )  # fmt: skip
        bands = MelBands(KALDI_BINS, KALDI_FFT, SAMPLE_RATE, KALDI_LOW_HZ, SAMPLE_RATE / 2, "kaldi")
        normalised = Log(KALDI_FLOOR), Scaled(-self._mean, 1 / (2 * self._deviation))
        return Pad(0, KALDI_WINDOW, "constant"), spectrum, bands, *normalised

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        """Multiply-accumulates of a clip; see `models.contracts.CountsMacs`."""
        pre_emphasis = KALDI_WINDOW
        return output.shape[-1] * (pre_emphasis + mel_frame_macs(KALDI_WINDOW, KALDI_FFT, self.mel_bins))


class CentredMel(TransformerFrontEnd):
    """Spectra of a Hann window as long as the Fourier transform, centred on multiples of the hop.

    Args:
        fft_length: Samples of the Fourier transform.
        mel_bins: Number of mel bands.
        low_hz: Lower edge of the lowest band.
        high_hz: Upper edge of the highest band.
        scale: As `create_mel_bank` takes it.
    """

    window: Tensor

    def __init__(self, fft_length: int, mel_bins: int, low_hz: float, high_hz: float, scale: Scale) -> None:
        bank = create_mel_bank(mel_bins, fft_length, SAMPLE_RATE, low_hz, high_hz, scale=scale)
        self._low_hz, self._high_hz, self._scale = low_hz, high_hz, scale
        super().__init__(bank, fft_length // 2 + 1)  # reflect padding needs more samples than it adds
        self.register_buffer("window", torch.hann_window(fft_length), persistent=False)

    @property
    def fft_length(self) -> int:
        """Samples of the Fourier transform."""
        return len(self.window)

    def power(self, waveform: Tensor) -> Tensor:
        """As `TransformerFrontEnd.power`; frame k is centred on sample k * HOP_LENGTH."""
        return power_spectrum(centre_pad(waveform, self.fft_length), self.window.float(), self.fft_length, HOP_LENGTH)

    def steps(self) -> tuple[Step, ...]:
        """As `FrontEnd.steps`; up to the mel bands."""
        spectrum = Spectrum(HOP_LENGTH, self.fft_length, self.fft_length)
        bands = MelBands(self.mel_bins, self.fft_length, SAMPLE_RATE, self._low_hz, self._high_hz, self._scale)
        return Pad(self.fft_length // 2, self.fft_length // 2), spectrum, bands

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        """Multiply-accumulates of a clip; see `models.contracts.CountsMacs`."""
        return output.shape[-1] * mel_frame_macs(self.fft_length, self.fft_length, self.mel_bins)


def num_frames(num_samples: int) -> int:
    """Count the frames that begin inside the signal."""
    return 1 + (num_samples - 1) // HOP_LENGTH


def kaldi_filters(window: Tensor) -> Float64Array:
    """Create filters for mean removal, pre-emphasis, window and Fourier transform in one: shape (514, 400)."""
    centred = np.eye(KALDI_WINDOW) - 1 / KALDI_WINDOW
    emphasised = centred - PRE_EMPHASIS * np.concatenate([centred[:1], centred[:-1]])
    filters: Float64Array = fourier_filters(KALDI_FFT, KALDI_WINDOW) * window.double().numpy() @ emphasised
    return filters
