"""Front end of M2D (https://arxiv.org/abs/2406.02032): 80 mel bands of Slaney's scale, natural logarithm."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from efficient_sed.audio.frontends.steps import Log, Scaled, Step
from efficient_sed.audio.frontends.transformers import CentredMel

FFT_LENGTH, MEL_BINS, LOW_HZ, HIGH_HZ = 400, 80, 50.0, 8000.0
FLOOR = float(np.finfo(np.float32).eps)  # of the power
MEAN, DEVIATION = -7.1, 4.2


class M2dMel(CentredMel):
    """Waveform (batch, samples) at 16 kHz -> (batch, 1, 80, frames)."""

    def __init__(self) -> None:
        super().__init__(FFT_LENGTH, MEL_BINS, LOW_HZ, HIGH_HZ, scale="slaney")

    def normalise(self, mel: Tensor) -> Tensor:
        """As `TransformerFrontEnd.normalise`."""
        return ((mel + FLOOR).log() - MEAN) / DEVIATION

    def steps(self) -> tuple[Step, ...]:
        """As `FrontEnd.steps`."""
        return *super().steps(), Scaled(FLOOR), Log(FLOOR), Scaled(-MEAN, 1 / DEVIATION)
