"""ATST-Frame: a transformer on slices of 40 ms.

Li, Shao and Li, "Self-supervised audio teacher-student transformer for both clip-level and frame-level tasks", 2023
(https://arxiv.org/abs/2306.04186), as fine-tuned in PretrainedSED. Changed: a last slice that is not full repeats its
last frame; there it is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from efficient_sed.audio.frontends.atst import MEL_BINS, AtstMel
from efficient_sed.audio.frontends.mel import FrontEnd
from efficient_sed.config.model import BackboneConfig
from efficient_sed.models.backbones._initialise import init_linear
from efficient_sed.models.backbones._transformer import (
    CLIP_STEPS,
    DIM,
    TIME_STRIDE,
    FrameTransformer,
    layer_norm,
    learned,
    vision_blocks,
)
from efficient_sed.models.contracts import Backbone
from efficient_sed.registry import BACKBONES


class AtstEmbedding(nn.Module):
    """Spectrogram (batch, 1, 64, frames) -> a token for each four frames, with its position."""

    def __init__(self) -> None:
        super().__init__()
        self.mask_embed = nn.Parameter(
            torch.zeros(1, 1, DIM), requires_grad=False
        )  # for its self-supervised training; stored, never read
        self.pos_embed = learned(1, 1 + CLIP_STEPS, DIM)  # the first is unused
        self.patch_embed = nn.Linear(MEL_BINS * TIME_STRIDE, DIM)
        init_linear(self)

    def forward(self, mel: Tensor) -> Tensor:
        """Spectrogram (batch, 1, mel_bins, frames) to tokens (batch, length, 768)."""
        mel = F.pad(mel, (0, -mel.shape[3] % TIME_STRIDE, 0, 0), mode="replicate")  # its zero would be a loud sound
        slices = (
            mel.reshape(mel.shape[0], MEL_BINS, -1, TIME_STRIDE).transpose(1, 2).flatten(2)
        )  # (B, T, 256), frequency outermost
        tokens: Tensor = self.patch_embed(slices)
        return tokens + self.pos_embed[:, 1 : 1 + slices.shape[1]]

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        """See `contracts.CountsMacs`."""
        return 0


class AtstFrame(FrameTransformer):
    """See the module."""

    label, mel_bins = "atst_f", MEL_BINS
    RELEASED_NAMES = (
        (r"^atst_mel\.", None),  # its front end, which is in no released file
        (r"^atst\.patch_embed\.patch_embed\.", "embedding.patch_embed."),
        (r"^atst\.(mask_embed|pos_embed)$", r"embedding.\1"),
        (r"^atst\.norm_frame\.", "norm."),
        (r"^atst\.", ""),
    )

    def __init__(self) -> None:
        super().__init__(AtstEmbedding(), vision_blocks(has_qkv_bias=False), layer_norm())


@BACKBONES.register("atst_f")
@dataclass(frozen=True)
class AtstFrameConfig(BackboneConfig):
    """Options of this backbone."""

    has_mel_jitter: ClassVar[bool] = False

    def build(self) -> Backbone:
        """The network, with random weights."""
        return AtstFrame()

    def build_frontend(self) -> FrontEnd:
        """The front end whose spectrograms the network takes."""
        return AtstMel()
