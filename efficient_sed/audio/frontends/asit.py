"""Front end of ASiT (https://arxiv.org/abs/2211.13189): Kaldi's filter bank with a Hann window."""

from __future__ import annotations

from torch import Tensor

from efficient_sed.audio.frontends.steps import RemoveMean, Step
from efficient_sed.audio.frontends.transformers import KaldiMel

MEAN, DEVIATION = -4.2677393, 4.5689974


class AsitMel(KaldiMel):
    """Waveform (batch, samples) at 16 kHz -> (batch, 1, 128, frames); the mean of each clip is removed."""

    def __init__(self) -> None:
        super().__init__(1.0, MEAN, DEVIATION)

    def power(self, waveform: Tensor) -> Tensor:
        """As `KaldiMel.power`."""
        return super().power(waveform - waveform.mean(1, keepdim=True))

    def steps(self) -> tuple[Step, ...]:
        """As `FrontEnd.steps`."""
        return RemoveMean(), *super().steps()
