"""Front end of BEATs (https://arxiv.org/abs/2212.09058): Kaldi's filter bank with Povey's window."""

from __future__ import annotations

from torch import Tensor

from efficient_sed.audio.frontends.steps import Scaled, Step
from efficient_sed.audio.frontends.transformers import KaldiMel

INT16_SCALE = 2.0**15
MEAN, DEVIATION = 15.41663, 6.55582


class BeatsMel(KaldiMel):
    """Waveform (batch, samples) at 16 kHz -> (batch, 1, 128, frames); samples are scaled to those of 16 bits."""

    def __init__(self) -> None:
        super().__init__(0.85, MEAN, DEVIATION)

    def power(self, waveform: Tensor) -> Tensor:
        """As `KaldiMel.power`."""
        return super().power(waveform * INT16_SCALE)

    def steps(self) -> tuple[Step, ...]:
        """As `FrontEnd.steps`."""
        return Scaled(factor=INT16_SCALE), *super().steps()
