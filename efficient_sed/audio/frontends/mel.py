"""The contract of front ends, and the log-mel spectrogram of the released models.

That spectrogram is the one of Morocutti et al. 2025 and, before them, Schmid et al. 2023 (EfficientAT): pre-emphasis,
power spectrum, Kaldi mel bank, logarithm.
"""

from __future__ import annotations

import abc

import torch
from torch import Tensor, nn

from efficient_sed.audio.frontends.dft import centre_pad, mel_frame_macs, power_spectrum
from efficient_sed.audio.frontends.mel_bank import create_mel_bank
from efficient_sed.audio.frontends.steps import Log, MelBands, Pad, PreEmphasis, Scaled, Spectrum, Step
from efficient_sed.audio.grid import HOP_LENGTH, SAMPLE_RATE, FrameGrid
from efficient_sed.audio.waveform_checks import check_waveform

WINDOW_LENGTH = 400  # 25 ms
FFT_LENGTH = 512
MEL_BINS = 128
LOW_HZ, HIGH_HZ = 0.0, 7000.0
PRE_EMPHASIS = 0.97
LEAST_POWER = 1e-7
LOG_OFFSET, LOG_SCALE = 4.5, 5.0  # (log power + 4.5) / 5
MIN_SAMPLES = FFT_LENGTH // 2 + 2  # reflect padding needs more samples than it adds, pre-emphasis takes one


class FrontEnd(nn.Module, abc.ABC):
    """What a front end must have: a `forward` from waveform to spectrogram, and the attributes below.

    To add one, write a subclass in a file of its own and build it in the `frontend` method of a backbone's
    configuration; no list names it. A front end states its own cost by a method `macs`.
    """

    sample_rate: int
    """Of the waveforms it takes, in Hz."""
    hop_length: int
    """Samples from one frame to the next."""
    mel_bins: int
    """Features of a frame, mel bands or others."""
    first_frame_samples: int
    """Samples that give the first frame; each further `hop_length` samples give one more."""
    min_samples: int
    """Samples that a clip must have."""

    def steps(self) -> tuple[Step, ...]:
        """The same in NumPy, for exported files that take spectrograms; none where there is no such form."""
        return ()

    def grid(self, time_stride: int, first_step_frames: int = 1) -> FrameGrid:
        """Describe the output frames of a model with this front end.

        Args:
            time_stride: Spectrogram frames in each step of the model.
            first_step_frames: How many of them the first step needs at least.
        """
        first = self.first_frame_samples + (first_step_frames - 1) * self.hop_length
        return FrameGrid(self.sample_rate, self.hop_length, time_stride, first)

    def check(self, waveform: Tensor) -> None:
        """Check a waveform; errors as in `waveform_checks.check_waveform`."""
        is_float = isinstance(waveform, Tensor) and waveform.is_floating_point()
        check_waveform(waveform, Tensor, self.min_samples, is_float=is_float)

    @abc.abstractmethod
    def forward(self, waveform: Tensor) -> Tensor:
        """Compute the spectrogram, in float32 even under autocast.

        Args:
            waveform: Samples in [-1, 1] at `sample_rate`, shape (batch, samples).

        Returns:
            Shape (batch, 1, mel_bins, frames).

        Raises:
            TypeError: As `check`.
            ShapeError: As `check`.
        """


class LogMel(FrontEnd):
    """Waveform (batch, samples) -> (batch, 1, mel_bins, frames), with windows of 25 ms.

    Args:
        mel_bins: Bands from 0 Hz to `high_hz`.
        hop_length: Samples from one frame to the next; 10 ms by default.
        sample_rate: Of the waveform.
        high_hz: Upper edge of the last band.
        added_power: Added to the power of each band before the logarithm.
    """

    is_periodic = False
    """Of the window."""
    window: Tensor
    bank: Tensor

    def __init__(
        self,
        mel_bins: int = MEL_BINS,
        hop_length: int = HOP_LENGTH,
        sample_rate: int = SAMPLE_RATE,
        high_hz: float = HIGH_HZ,
        added_power: float = 0.0,
    ) -> None:
        super().__init__()
        self.sample_rate, self.hop_length, self.mel_bins = sample_rate, hop_length, mel_bins
        self.high_hz, self.added_power = high_hz, added_power
        self.window_length = WINDOW_LENGTH * sample_rate // SAMPLE_RATE
        self.fft_length = FFT_LENGTH * sample_rate // SAMPLE_RATE
        self.first_frame_samples = 1
        self.min_samples = self.fft_length // 2 + 2  # reflection needs more than it adds, pre-emphasis takes one
        window = torch.hann_window(self.window_length, periodic=self.is_periodic)
        bank = create_mel_bank(mel_bins, self.fft_length, sample_rate, LOW_HZ, high_hz, scale="kaldi")
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("bank", bank, persistent=False)

    def forward(self, waveform: Tensor, bank: Tensor | None = None) -> Tensor:
        """As `FrontEnd.forward`; `bank` replaces the filters, for augmentation."""
        self.check(waveform)
        with torch.autocast(waveform.device.type, enabled=False):
            waveform = waveform.float()
            emphasised = waveform[:, 1:] - PRE_EMPHASIS * waveform[:, :-1]
            padded = centre_pad(emphasised, self.fft_length)
            power = power_spectrum(padded, self.window.float(), self.fft_length, self.hop_length)
            mel = (self.bank if bank is None else bank).float() @ power
            if self.added_power:
                mel = mel + self.added_power
            return ((mel.clamp_(min=LEAST_POWER).log_() + LOG_OFFSET) / LOG_SCALE).unsqueeze(1)

    def steps(self) -> tuple[Step, ...]:
        """As `FrontEnd.steps`."""
        padding = self.fft_length // 2 - (self.fft_length - self.window_length) // 2
        spectrum = Spectrum(self.hop_length, self.window_length, self.fft_length, is_periodic=self.is_periodic)
        bands = MelBands(self.mel_bins, self.fft_length, self.sample_rate, LOW_HZ, self.high_hz, "kaldi")
        added = (Scaled(self.added_power),) if self.added_power else ()
        log = Log(LEAST_POWER), Scaled(LOG_OFFSET, 1 / LOG_SCALE)
        return PreEmphasis(PRE_EMPHASIS), Pad(padding, padding), spectrum, bands, *added, *log

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        """Multiply-accumulates of a clip; see `models.contracts.CountsMacs`."""
        pre_emphasis = inputs[0].shape[1] - 1
        return pre_emphasis + output.shape[-1] * mel_frame_macs(self.window_length, self.fft_length, self.mel_bins)


def mel_bank(low_hz: float, high_hz: float, mel_bins: int = MEL_BINS) -> Tensor:
    """Create the filters of the released models with other edges, shape (mel_bins, 257)."""
    return create_mel_bank(mel_bins, FFT_LENGTH, SAMPLE_RATE, low_hz, high_hz, scale="kaldi")


def jittered_mel_bank(generator: torch.Generator, mel_bins: int = MEL_BINS) -> Tensor:
    """Draw a bank with random edges, 0 to 9 Hz and 6001 to 8000 Hz, for training (code of Morocutti et al.)."""
    low = int(torch.randint(0, 10, (), generator=generator))
    high = HIGH_HZ + 1000 - int(torch.randint(0, 2000, (), generator=generator))
    return mel_bank(float(low), high, mel_bins)
