"""Conversions between samples, spectrogram frames, output frames of a model, and seconds.

Without PyTorch, for models that run without it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

SAMPLE_RATE = 16_000
HOP_LENGTH = 160  # 10 ms


@dataclass(frozen=True)
class FrameGrid:
    """Output frames of a model: frame k covers [k * hop_s, (k + 1) * hop_s)."""

    sample_rate: int = SAMPLE_RATE
    """In Hz."""
    hop_length: int = HOP_LENGTH
    """Samples from one spectrogram frame to the next."""
    stride: int = 4
    """Spectrogram frames in an output frame."""
    first_frame_samples: int = 1
    """Samples that give the first output frame; each further spectrogram frame takes `hop_length` more."""

    @property
    def hop_s(self) -> float:
        """Seconds from one output frame to the next."""
        return self.hop_length * self.stride / self.sample_rate

    def num_frames(self, num_samples: int) -> int:
        """Count the output frames of so many samples; the last one may lack spectrogram frames."""
        return math.ceil((1 + (num_samples - self.first_frame_samples) // self.hop_length) / self.stride)

    def onset_frame(self, onset_s: float) -> int:
        """Find the first frame of an event. Rounded at a millionth of a frame, so that 0.12 s is frame 3, not 2."""
        return math.floor(round(onset_s / self.hop_s, 6))

    def offset_frame(self, offset_s: float) -> int:
        """Find the frame behind the last one of an event."""
        return math.ceil(round(offset_s / self.hop_s, 6))
