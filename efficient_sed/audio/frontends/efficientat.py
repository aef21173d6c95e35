"""Front end of EfficientAT's taggers, the log-mel of the released detectors at 32 kHz.

Code of Schmid et al. 2023 (https://github.com/fschmid56/EfficientAT): up to 15 kHz, with a power that is added before
the logarithm.
"""

from __future__ import annotations

from efficient_sed.audio.frontends.mel import LogMel

SAMPLE_RATE, HOP_LENGTH = 32_000, 320
HIGH_HZ = 15_000.0
ADDED_POWER = 1e-5


class EfficientAtMel(LogMel):
    """Waveform (batch, samples) at 32 kHz -> (batch, 1, 128, frames), 100 frames a second."""

    def __init__(self) -> None:
        super().__init__(hop_length=HOP_LENGTH, sample_rate=SAMPLE_RATE, high_hz=HIGH_HZ, added_power=ADDED_POWER)
