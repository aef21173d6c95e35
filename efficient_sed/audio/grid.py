"""The grid that ties samples, spectrogram frames and the model's output frames to seconds. Without PyTorch, for models that run without it."""

from __future__ import annotations

import math
from dataclasses import dataclass

SAMPLE_RATE = 16_000
HOP_LENGTH = 160  # 10 ms


@dataclass(frozen=True)
class FrameGrid:
    """Every conversion between seconds, samples and the model's output frames. Frame k covers [k * hop_s, (k + 1) * hop_s)."""

    sample_rate: int = SAMPLE_RATE
    hop_length: int = HOP_LENGTH
    stride: int = 4
    first_frame_samples: int = 1
    """Samples that give the first output frame; each further spectrogram frame takes `hop_length` more."""

    @property
    def hop_s(self) -> float:
        return self.hop_length * self.stride / self.sample_rate

    def num_frames(self, num_samples: int) -> int:
        """Output frames for that many samples; a last one may lack as many spectrogram frames as the first."""
        return math.ceil((1 + (num_samples - self.first_frame_samples) // self.hop_length) / self.stride)

    def onset_frame(self, onset_s: float) -> int:
        """First frame that an event touches. Rounded at 1 ns, so that 0.12 s is frame 3 in spite of binary fractions."""
        return math.floor(round(onset_s / self.hop_s, 6))

    def offset_frame(self, offset_s: float) -> int:
        """Frame after the last one that an event touches."""
        return math.ceil(round(offset_s / self.hop_s, 6))
