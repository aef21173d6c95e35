"""Front end of ATST-Frame (https://arxiv.org/abs/2306.04186): 64 mel bands in decibels."""

from __future__ import annotations

import torch
from torch import Tensor

from efficient_sed.audio.frontends.steps import POWER_DB, Limit, Log, Scaled, Step
from efficient_sed.audio.frontends.transformers import CentredMel

FFT_LENGTH, MEL_BINS, LOW_HZ, HIGH_HZ = 1024, 64, 60.0, 7800.0
FLOOR = 1e-10  # of the power
RANGE_DB = 80.0  # below the loudest value of a clip
LIMITS_DB, LOWEST_DB, HIGHEST_DB = (-50.0, 80.0), -79.6482, 50.6842


class AtstMel(CentredMel):
    """Waveform (batch, samples) at 16 kHz -> (batch, 1, 64, frames), decibels scaled to [-1, 1].

    Changed: values are limited to 80 dB below the loudest one of the clip. The published code takes the loudest one of
    the batch, so that a quiet clip depends on the others.
    """

    def __init__(self) -> None:
        super().__init__(FFT_LENGTH, MEL_BINS, LOW_HZ, HIGH_HZ, scale="htk")

    def normalise(self, mel: Tensor) -> Tensor:
        """As `TransformerFrontEnd.normalise`."""
        decibels = 10 * mel.clamp(min=FLOOR).log10()
        decibels = torch.maximum(decibels, decibels.amax((1, 2), keepdim=True) - RANGE_DB).clamp(*LIMITS_DB)
        return (decibels - LOWEST_DB) / (HIGHEST_DB - LOWEST_DB) * 2 - 1

    def steps(self) -> tuple[Step, ...]:
        """As `FrontEnd.steps`."""
        middle, half = (LOWEST_DB + HIGHEST_DB) / 2, (HIGHEST_DB - LOWEST_DB) / 2
        return *super().steps(), Log(FLOOR, POWER_DB), Limit(*LIMITS_DB, RANGE_DB), Scaled(-middle, 1 / half)
