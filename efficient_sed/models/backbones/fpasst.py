"""Frame-level PaSST: a transformer below which convolutions make one token of 40 ms.

Koutini et al., "Efficient training of audio transformers with Patchout", Interspeech 2022
(https://arxiv.org/abs/2110.05069); made frame-wise by Schmid et al., 2024 (https://arxiv.org/abs/2407.12997), as
fine-tuned in PretrainedSED, without Patchout. Changed: more than 10 s are refused; there the rest is cut off.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from efficient_sed.audio.frontends.mel import MEL_BINS, FrontEnd
from efficient_sed.audio.frontends.passt import PasstMel
from efficient_sed.config.model import BackboneConfig
from efficient_sed.models.backbones._initialise import init_linear
from efficient_sed.models.backbones._transformer import (
    CLIP_STEPS,
    DIM,
    FrameTransformer,
    layer_norm,
    learned,
    vision_blocks,
)
from efficient_sed.models.contracts import Backbone
from efficient_sed.registry import BACKBONES

STEM_CHANNELS = (16, 32, 64)
STEM_STRIDES = (2, 1, 2)
PATCH_CHANNELS, PATCH_ROWS = 16, 128
NUM_EXTRA = 2  # tokens of the clip before those of the steps


class PasstEmbedding(nn.Module):
    """Spectrogram (batch, 1, 128, frames) -> two tokens of the clip, and one for each four frames."""

    def __init__(self) -> None:
        super().__init__()
        self.cls_token, self.dist_token, self.new_pos_embed = (
            learned(1, 1, DIM),
            learned(1, 1, DIM),
            learned(1, NUM_EXTRA, DIM),
        )
        self.freq_new_pos_embed, self.time_new_pos_embed = learned(1, DIM, 1, 1), learned(1, DIM, 1, CLIP_STEPS)
        layers: list[nn.Module] = []
        for channels_in, channels, stride in zip((1, *STEM_CHANNELS), STEM_CHANNELS, STEM_STRIDES, strict=False):
            layers += [nn.Conv2d(channels_in, channels, 3, stride, padding=1), nn.GELU()]
        self.stem = nn.Sequential(*layers)
        self.patch_embed = nn.Conv2d(PATCH_CHANNELS, DIM, (PATCH_ROWS, 2), padding=(0, 1))
        init_linear(self)

    def forward(self, mel: Tensor) -> Tensor:
        """Spectrogram (batch, 1, mel_bins, frames) to tokens (batch, length, 768)."""
        stem = self.stem(mel)  # (B, 64, 32, T)
        columns = self.patch_embed(stem.reshape(mel.shape[0], PATCH_CHANNELS, PATCH_ROWS, stem.shape[3]))[
            ..., 1:
        ]  # (B, 768, 1, T): channels are taken for rows, as published
        T = columns.shape[3]
        start = int(torch.randint(CLIP_STEPS - T + 1, ())) if self.training else 0
        columns = columns + self.time_new_pos_embed[..., start : start + T] + self.freq_new_pos_embed
        extra = torch.cat([self.cls_token, self.dist_token], 1) + self.new_pos_embed
        return torch.cat([extra.expand(mel.shape[0], -1, -1), columns.flatten(2).transpose(1, 2)], 1)

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        """See `contracts.CountsMacs`."""
        return 0


class FramePasst(FrameTransformer):
    """See the module."""

    label, mel_bins = "fpasst", MEL_BINS
    RELEASED_NAMES = (
        (r"^(?:fpasst\.)?conv_in_1\.", "embedding.stem.0."),
        (r"^(?:fpasst\.)?conv_in_2\.", "embedding.stem.2."),
        (r"^(?:fpasst\.)?conv_in_3\.", "embedding.stem.4."),
        (r"^(?:fpasst\.)?patch_embed\.proj\.", "embedding.patch_embed."),
        (r"^(?:fpasst\.)?(cls_token|dist_token|(?:freq_|time_)?new_pos_embed)$", r"embedding.\1"),
        (r"^fpasst\.", ""),
    )

    def __init__(self) -> None:
        super().__init__(PasstEmbedding(), vision_blocks(), layer_norm())

    def tokens(self, mel: Tensor) -> Tensor:
        """See `FrameTransformer`."""
        return super().tokens(mel)[:, NUM_EXTRA:]


@BACKBONES.register("fpasst")
@dataclass(frozen=True)
class FramePasstConfig(BackboneConfig):
    """Options of this backbone."""

    def build(self) -> Backbone:
        """The network, with random weights."""
        return FramePasst()

    def build_frontend(self) -> FrontEnd:
        """The front end whose spectrograms the network takes."""
        return PasstMel()
