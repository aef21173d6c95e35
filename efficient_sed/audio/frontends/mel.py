"""What every front end promises, and the log-mel spectrogram of the released models.

Morocutti et al. 2025 and, before them, Schmid et al. 2023 (EfficientAT): pre-emphasis, power spectrum, Kaldi mel bank, logarithm.
Those of dnd-sed are in `frontend_mel40`.
"""

from __future__ import annotations

import abc

import torch
from torch import Tensor, nn
from torchaudio.compliance.kaldi import get_mel_banks

from efficient_sed.audio.frontends.dft import centre_pad, mel_frame_macs, power_spectrum
from efficient_sed.audio.grid import HOP_LENGTH as HOP_LENGTH  # noqa: PLC0414 (also from here)
from efficient_sed.audio.grid import SAMPLE_RATE as SAMPLE_RATE  # noqa: PLC0414 (also from here)
from efficient_sed.audio.grid import FrameGrid as FrameGrid  # noqa: PLC0414 (also from here)
from efficient_sed.audio.waveform_checks import check_waveform

WINDOW_LENGTH = 400  # 25 ms
FFT_LENGTH = 512
MEL_BINS = 128
LOW_HZ, HIGH_HZ = 0.0, 7000.0
PRE_EMPHASIS = 0.97
LOG_OFFSET, LOG_SCALE = 4.5, 5.0  # (log power + 4.5) / 5
MIN_SAMPLES = FFT_LENGTH // 2 + 2  # reflect padding needs more samples than it adds, pre-emphasis takes one


class FrontEnd(nn.Module, abc.ABC):
    """Waveform (batch, samples) at `sample_rate` -> (batch, 1, mel_bins, frames), float32 even under autocast."""

    sample_rate: int
    hop_length: int
    mel_bins: int
    """Features of a frame, whatever they are."""
    first_frame_samples: int
    min_samples: int

    def grid(self, time_stride: int, first_step_frames: int = 1) -> FrameGrid:
        """The grid of a model whose steps take `time_stride` frames each, the first of them `first_step_frames` at least."""
        return FrameGrid(
            self.sample_rate,
            self.hop_length,
            time_stride,
            self.first_frame_samples + (first_step_frames - 1) * self.hop_length,
        )

    def check(self, waveform: Tensor) -> None:
        """Raise unless the waveform is (batch, samples) of a floating-point type, and long enough for a frame.

        Raises:
            TypeError: If it is no tensor, or one of whole numbers.
            ShapeError: If its shape is another one.
        """
        is_float = isinstance(waveform, Tensor) and waveform.is_floating_point()
        check_waveform(waveform, Tensor, self.min_samples, is_float=is_float)

    @abc.abstractmethod
    def forward(self, waveform: Tensor) -> Tensor: ...


class LogMel(FrontEnd):
    """Waveform (batch, samples), 16 kHz -> (batch, 1, 128, frames), 100 frames a second, float32 even under autocast.

    The bank is made once; the published code makes it anew at every call, with the same numbers.
    """

    window: Tensor
    bank: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.sample_rate, self.hop_length, self.mel_bins = SAMPLE_RATE, HOP_LENGTH, MEL_BINS
        self.first_frame_samples, self.min_samples = (
            1,
            MIN_SAMPLES,
        )  # pre-emphasis drops one sample, the STFT is centred
        self.register_buffer("window", torch.hann_window(WINDOW_LENGTH, periodic=False), persistent=False)
        self.register_buffer("bank", mel_bank(LOW_HZ, HIGH_HZ), persistent=False)

    def forward(self, waveform: Tensor, bank: Tensor | None = None) -> Tensor:
        """Spectrogram with the model's own bank or, for augmentation, another of `mel_bank`.

        Raises:
            TypeError, ShapeError: As `check`.
        """
        self.check(waveform)
        with torch.autocast(waveform.device.type, enabled=False):
            waveform = waveform.float()
            emphasised = waveform[:, 1:] - PRE_EMPHASIS * waveform[:, :-1]
            power = power_spectrum(
                centre_pad(emphasised, FFT_LENGTH), self.window.float(), FFT_LENGTH, HOP_LENGTH
            )  # (B, 257, frames)
            mel = (self.bank if bank is None else bank).float() @ power
            return ((mel.clamp_(min=1e-7).log_() + LOG_OFFSET) / LOG_SCALE).unsqueeze(1)

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        """Multiply-accumulates of a clip; see `models.contracts.CountsMacs`."""
        pre_emphasis = inputs[0].shape[1] - 1
        return pre_emphasis + output.shape[-1] * mel_frame_macs(WINDOW_LENGTH, FFT_LENGTH, MEL_BINS)


def mel_bank(low_hz: float, high_hz: float) -> Tensor:
    """Kaldi's triangular filters, shape (128, 257): the last bin, at Nyquist, has weight zero."""
    bank, _ = get_mel_banks(
        MEL_BINS, FFT_LENGTH, SAMPLE_RATE, low_hz, high_hz, vtln_low=100.0, vtln_high=-500.0, vtln_warp_factor=1.0
    )
    return nn.functional.pad(bank, (0, 1))


def jittered_mel_bank(generator: torch.Generator) -> Tensor:
    """A bank with randomly moved edges: low edge 0-9 Hz, high edge 6001-8000 Hz. Training only; Morocutti et al. 2025, released code."""
    low = int(torch.randint(0, 10, (), generator=generator))
    high = HIGH_HZ + 1000 - int(torch.randint(0, 2000, (), generator=generator))
    return mel_bank(float(low), high)
