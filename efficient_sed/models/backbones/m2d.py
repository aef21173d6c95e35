"""Masked Modeling Duo: a transformer on patches of 16 frequencies by 160 ms, five of which make the features of a step.

Niizumi et al., "Masked Modeling Duo: towards a universal audio pre-training framework", 2024
(https://arxiv.org/abs/2406.02032), as fine-tuned in PretrainedSED. More than 10 s are taken in pieces that know nothing
of each other. Changed: a piece has 1000 frames, so that steps go on at 40 ms; there it has 1001.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from efficient_sed.audio.frontends.m2d import DEVIATION, MEAN, MEL_BINS, M2dMel
from efficient_sed.audio.frontends.mel import FrontEnd
from efficient_sed.config.model import BackboneConfig
from efficient_sed.models.backbones._initialise import init_linear
from efficient_sed.models.backbones._transformer import (
    CLIP_COLUMNS,
    DIM,
    PATCH,
    FrameTransformer,
    interpolate_to_steps,
    layer_norm,
    learned,
    vision_blocks,
    whole_patches,
)
from efficient_sed.models.contracts import Backbone
from efficient_sed.registry import BACKBONES

ROWS = MEL_BINS // PATCH


class M2dEmbedding(nn.Module):
    """Spectrogram (batch, 1, 80, frames) -> a token of the clip, and its patches, frequency outermost."""

    def __init__(self) -> None:
        super().__init__()
        self.cls_token, self.pos_embed = learned(1, 1, DIM), learned(1, 1 + ROWS * CLIP_COLUMNS, DIM)
        self.norm_stats = nn.Parameter(
            torch.tensor([MEAN, DEVIATION]), requires_grad=False
        )  # stored and counted, never read
        self.patch_embed = nn.Conv2d(1, DIM, PATCH, PATCH)
        init_linear(self)

    def forward(self, mel: Tensor) -> Tensor:
        """Spectrogram (batch, 1, mel_bins, frames) to tokens (batch, length, 768)."""
        patches = self.patch_embed(whole_patches(mel))  # (B, 768, 5, T / 16)
        positions = self.pos_embed[:, 1:].reshape(1, ROWS, CLIP_COLUMNS, DIM)[:, :, : patches.shape[3]]
        tokens = patches.flatten(2).transpose(1, 2) + positions.flatten(1, 2)
        return torch.cat([(self.cls_token + self.pos_embed[:, :1]).expand(mel.shape[0], -1, -1), tokens], 1)

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        """See `contracts.CountsMacs`."""
        return 0


class M2d(FrameTransformer):
    """See the module."""

    label, mel_bins = "m2d", MEL_BINS
    out_dim = ROWS * DIM
    is_piecewise = True
    RELEASED_NAMES = (
        (r"^(?:m2d\.)?to_spec\.", None),  # its front end
        (r"^(?:m2d\.)?backbone\.patch_embed\.proj\.", "embedding.patch_embed."),
        (r"^(?:m2d\.)?backbone\.(cls_token|pos_embed|norm_stats)$", r"embedding.\1"),
        (r"^(?:m2d\.)?backbone\.", ""),
    )

    def __init__(self) -> None:
        super().__init__(M2dEmbedding(), vision_blocks(), layer_norm())

    def tokens(self, mel: Tensor) -> Tensor:
        """See `FrameTransformer`."""
        patches = super().tokens(mel)[:, 1:]
        return (
            patches.reshape(mel.shape[0], ROWS, -1, DIM).transpose(1, 2).flatten(2)
        )  # (B, T / 16, 3840), frequency outermost

    def to_steps(self, tokens: Tensor, steps: int) -> Tensor:
        """See `FrameTransformer`."""
        return interpolate_to_steps(tokens, steps, CLIP_COLUMNS)


@BACKBONES.register("m2d")
@dataclass(frozen=True)
class M2dConfig(BackboneConfig):
    """Options of this backbone."""

    has_mel_jitter: ClassVar[bool] = False

    def build(self) -> Backbone:
        """The network, with random weights."""
        return M2d()

    def build_frontend(self) -> FrontEnd:
        """The front end whose spectrograms the network takes."""
        return M2dMel()
