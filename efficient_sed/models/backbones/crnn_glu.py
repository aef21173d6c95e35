"""Convolutional blocks of the CRNN that is the baseline of DCASE Task 4, with gated linear units.

Turpault et al., "Sound event detection in domestic environments with weakly labeled data and soundscape synthesis",
DCASE 2019 (https://hal.inria.fr/hal-02160855). Layers are those of the baseline's configuration of 2023
(https://github.com/DCASE-REPO/DESED_task, recipes/dcase2023_task4_baseline/confs/default.yaml): seven 3x3 convolutions
of 16 to 128 channels, each with BatchNorm, a gate, dropout and average pooling. With `gru-128` behind them and ten
classes these are the 1,112,420 parameters of the baseline. Changed: frequency comes before time, and a last step of
fewer frames is kept, so that 10 s are 157 steps and not 156.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from efficient_sed.audio.frontends.dcase import MEL_BINS, DcaseMel
from efficient_sed.audio.frontends.mel import FrontEnd
from efficient_sed.config.model import BackboneConfig
from efficient_sed.errors import require
from efficient_sed.models.contracts import Backbone, check_mel
from efficient_sed.models.dropout import Dropout
from efficient_sed.registry import BACKBONES

CHANNELS = (16, 32, 64, 128, 128, 128, 128)
POOLS = ((2, 2), (2, 2), *[(2, 1)] * 5)  # in frequency and time
NORM_EPSILON = 1e-3


class GatedLinearUnit(nn.Module):
    """A 1x1 convolution of the input, times the sigmoid of the input itself."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, bins, frames) to the same shape."""
        gated: Tensor = self.linear(x) * x.sigmoid()
        return gated


class CrnnGluBlocks(Backbone):
    """Spectrogram (batch, 1, 128, frames) -> features (batch, frames / 4, 128).

    Args:
        dropout: Share of values dropped behind each gate.
    """

    time_stride = 4
    out_dim = CHANNELS[-1]
    has_chained_stages = True

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(channels_in, channels, 3, padding=1),
                    nn.BatchNorm2d(channels, eps=NORM_EPSILON),
                    GatedLinearUnit(channels),
                    Dropout(dropout),
                    nn.AvgPool2d(pool, ceil_mode=True, count_include_pad=False),
                )
                for channels_in, channels, pool in zip((1, *CHANNELS), CHANNELS, POOLS, strict=False)
            )
        )

    def forward(self, mel: Tensor) -> Tensor:
        """Spectrogram (batch, 1, mel_bins, frames) to features (batch, time, out_dim)."""
        check_mel(mel, "crnn_glu", MEL_BINS)
        features: Tensor = self.blocks(mel)  # (B, 128, 1, T)
        return features.squeeze(2).transpose(1, 2)

    def stages(self) -> list[nn.Module]:
        """See `contracts.Backbone`."""
        return list(self.blocks)


@BACKBONES.register("crnn_glu")
@dataclass(frozen=True)
class CrnnGluConfig(BackboneConfig):
    """Options of this backbone."""

    has_mel_jitter: ClassVar[bool] = False

    dropout: float = 0.5
    """Share of values dropped in each block; 0.5 in the baseline of 2023, 0.2 in that of 2024."""

    def __post_init__(self) -> None:
        require(0 <= self.dropout < 1, "backbone.dropout", self.dropout, "0 to below 1")

    def build(self) -> Backbone:
        """The network, with random weights."""
        return CrnnGluBlocks(self.dropout)

    def build_frontend(self) -> FrontEnd:
        """The front end whose spectrograms the network takes."""
        return DcaseMel()
