"""Convolutional blocks of the CRNN for sound event detection, plain and depthwise separable.

Drossos et al., "Sound event detection with depthwise separable and dilated convolutions", IJCNN 2020
(https://arxiv.org/abs/2002.00476), sections II-A and III-A: three blocks that keep time and pool 40 features to one.
Unlike there, frequency comes before time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from efficient_sed.audio.frontends.mel import FrontEnd
from efficient_sed.audio.frontends.mel40 import NUM_FEATURES, Mel40
from efficient_sed.config.model import BackboneConfig
from efficient_sed.errors import require
from efficient_sed.models.contracts import Backbone, check_mel
from efficient_sed.registry import BACKBONES

CHANNELS, KERNEL, POOLS = 256, 5, (5, 4, 2)


def plain_convolution(channels_in: int) -> nn.Module:
    """5x5 convolution."""
    return nn.Conv2d(channels_in, CHANNELS, KERNEL, padding=KERNEL // 2)


def separable_convolution(channels_in: int) -> nn.Module:
    """5x5 filters of each input channel, then a mixture of them in each point."""
    return nn.Sequential(
        nn.Conv2d(channels_in, CHANNELS, KERNEL, padding=KERNEL // 2, groups=channels_in),
        nn.LeakyReLU(),
        nn.BatchNorm2d(CHANNELS),
        nn.Conv2d(CHANNELS, CHANNELS, 1),
    )


class CrnnBlocks(Backbone):
    """Spectrogram (batch, 1, 40, frames) -> features (batch, frames, 256).

    Args:
        is_separable: Depthwise separable convolutions instead of plain ones.
        dropout: Share of channels dropped after each block.
    """

    time_stride = 1
    out_dim = CHANNELS
    has_chained_stages = True

    def __init__(self, is_separable: bool, dropout: float) -> None:
        super().__init__()
        convolution = separable_convolution if is_separable else plain_convolution
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    convolution(channels_in),
                    nn.ReLU(),
                    nn.BatchNorm2d(CHANNELS),
                    nn.MaxPool2d((pool, 1)),
                    nn.Dropout2d(dropout),
                )
                for channels_in, pool in zip((1, CHANNELS, CHANNELS), POOLS, strict=True)
            )
        )

    def forward(self, mel: Tensor) -> Tensor:
        """Spectrogram (batch, 1, mel_bins, frames) to features (batch, time, out_dim)."""
        check_mel(mel, "crnn", NUM_FEATURES)
        features: Tensor = self.blocks(mel)  # (B, 256, 1, T)
        return features.squeeze(2).transpose(1, 2)

    def stages(self) -> list[nn.Module]:
        """See `contracts.Backbone`."""
        return list(self.blocks)


@BACKBONES.register_family({"crnn_cnn": {"is_separable": False}, "crnn_dws": {"is_separable": True}})
@dataclass(frozen=True)
class CrnnConfig(BackboneConfig):
    """Options of this backbone."""

    has_mel_jitter: ClassVar[bool] = False
    has_clip_layer: ClassVar[bool] = False
    is_separable: ClassVar[bool]

    frontend: Literal["logmel40", "mfcc40", "mfcc40_2048"] = "logmel40"
    """Features: log-mel of 20 ms at 44.1 kHz, or cepstral coefficients at 22.05 kHz.

    The coefficients are of 20 ms or, as published for UrbanSound8K, of 2048 samples.
    """
    dropout: float = 0.25
    """Share of channels dropped after each block."""

    def __post_init__(self) -> None:
        require(0 <= self.dropout < 1, "backbone.dropout", self.dropout, "0 to below 1")

    def build(self) -> Backbone:
        """The network, with random weights."""
        return CrnnBlocks(self.is_separable, self.dropout)

    def build_frontend(self) -> FrontEnd:
        """The front end whose spectrograms the network takes."""
        return Mel40(self.frontend)
