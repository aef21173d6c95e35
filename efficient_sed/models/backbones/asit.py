"""ASiT: a transformer on patches of 16 frequencies by 160 ms.

Atito et al., "ASiT: local-global audio spectrogram vision transformer for event classification", 2022
(https://arxiv.org/abs/2211.13189), as fine-tuned in PretrainedSED. What looks odd is as published, for the weights
expect it: the eight rows of the table of positions are stretched over time, its 37 columns squeezed into the eight
frequencies; the token of the clip stays first among those that are averaged to steps, and each step sees about two of
the eight frequencies, which attention has mixed before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from efficient_sed.audio.frontends.asit import AsitMel
from efficient_sed.audio.frontends.mel import FrontEnd
from efficient_sed.audio.frontends.transformers import KALDI_BINS
from efficient_sed.config.model import BackboneConfig
from efficient_sed.models.backbones._initialise import init_linear
from efficient_sed.models.backbones._transformer import (
    CLIP_COLUMNS,
    DIM,
    PATCH,
    FrameTransformer,
    average_to_steps,
    layer_norm,
    learned,
    vision_blocks,
    whole_patches,
)
from efficient_sed.models.contracts import Backbone
from efficient_sed.registry import BACKBONES

FREQUENCIES = KALDI_BINS // PATCH
TABLE_ROWS, TABLE_COLUMNS = 8, 37


class AsitEmbedding(nn.Module):
    """Spectrogram (batch, 1, 128, frames) -> a token of the clip, and its patches, time outermost."""

    def __init__(self) -> None:
        super().__init__()
        self.cls_token, self.pos_embed = learned(1, 1, DIM), learned(1, 1 + TABLE_ROWS * TABLE_COLUMNS, DIM)
        self.patch_embed = nn.Conv2d(1, DIM, PATCH, PATCH)
        init_linear(self)

    def forward(self, mel: Tensor) -> Tensor:
        """Spectrogram (batch, 1, mel_bins, frames) to tokens (batch, length, 768)."""
        patches = (
            self.patch_embed(whole_patches(mel).transpose(2, 3)).flatten(2).transpose(1, 2)
        )  # (B, T / 16 * 8, 768)
        tokens = torch.cat([self.cls_token.expand(mel.shape[0], -1, -1), patches], 1)
        return tokens + self.positions()[:, : tokens.shape[1]]

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        """See `contracts.CountsMacs`."""
        return 0

    def positions(self) -> Tensor:
        """Those of 10 s, shape (1, 497, 768)."""
        table = self.pos_embed[:, 1:].reshape(1, TABLE_ROWS, TABLE_COLUMNS, DIM).permute(0, 3, 1, 2)
        grid = F.interpolate(table, (CLIP_COLUMNS, FREQUENCIES), mode="bicubic", align_corners=False)
        return torch.cat([self.pos_embed[:, :1], grid.flatten(2).transpose(1, 2)], 1)


class Asit(FrameTransformer):
    """See the module."""

    label, mel_bins = "asit", KALDI_BINS
    RELEASED_NAMES = (
        (r"^(?:asit\.)?patch_embed\.proj\.", "embedding.patch_embed."),
        (r"^(?:asit\.)?(cls_token|pos_embed)$", r"embedding.\1"),
        (r"^asit\.", ""),
    )

    def __init__(self) -> None:
        super().__init__(AsitEmbedding(), vision_blocks(), layer_norm())

    def to_steps(self, tokens: Tensor, steps: int) -> Tensor:
        """See `FrameTransformer`."""
        return average_to_steps(tokens, steps, 1 + CLIP_COLUMNS * FREQUENCIES)


@BACKBONES.register("asit")
@dataclass(frozen=True)
class AsitConfig(BackboneConfig):
    """Options of this backbone."""

    has_mel_jitter: ClassVar[bool] = False

    def build(self) -> Backbone:
        """The network, with random weights."""
        return Asit()

    def build_frontend(self) -> FrontEnd:
        """The front end whose spectrograms the network takes."""
        return AsitMel()
