"""Dynamic MobileNet (DyMN): an inverted residual whose kernels, activation and gates depend on the clip.

Schmid, Koutini and Widmer, "Dynamic Convolutional Neural Networks as Efficient Pre-trained Audio Models", TASLP 2024
(https://arxiv.org/abs/2310.15648), with the layout of the weights released with it. `dymn10` and so on tag clips, with
the published strides and classifier. `fdymn10` and so on have the strides of the frame-wise MobileNetV3 instead, for
detection; these are not published.

Each block computes a context once, from its input averaged over time and averaged over frequency (section III-A), and
three parts take it: mixtures of kernels (equations 5 and 6), the maximum of two linear maps of each channel in place of
an activation (equation 4), and gates along frequency and along time. A context is taken over the whole input, so that a
network sees all of it at every step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from torch import Tensor, nn

from efficient_sed.audio.frontends.efficientat import EfficientAtMel
from efficient_sed.audio.frontends.mel import MEL_BINS, FrontEnd
from efficient_sed.config.model import BackboneConfig
from efficient_sed.errors import require
from efficient_sed.models.backbones._dynamic_layers import (
    ContextGenerator,
    DynamicActivation,
    DynamicConv2d,
    batch_norm,
)
from efficient_sed.models.backbones._mobilenet_classifier import MobileNetClassifier
from efficient_sed.models.backbones.mobilenet_v3 import LARGE, TAGGING, Block, make_divisible, scaled
from efficient_sed.models.contracts import Backbone, Classifier, check_mel
from efficient_sed.models.conv_norm import ConvNormAct
from efficient_sed.registry import BACKBONES

CONTEXT_RATIO, MIN_CONTEXT, MAX_CONTEXT = 4, 32, 128


class DynamicBlock(nn.Module):
    """Context; then expand, filter each channel, gate, project, each with kernels of the clip's own."""

    def __init__(self, block: Block, width: float, temperature: float) -> None:
        super().__init__()
        channels_in, channels_out = scaled(block.channels_in, width), scaled(block.channels_out, width)
        expanded = scaled(block.channels_expanded, width)
        smallest, largest = (make_divisible(size * width) for size in (MIN_CONTEXT, MAX_CONTEXT))
        size = min(max(make_divisible(expanded // CONTEXT_RATIO), smallest), largest)
        stride = (block.stride_frequency, block.stride_time)
        dynamic = partial(DynamicConv2d, context_size=size, temperature=temperature)
        self.context_gen = ContextGenerator(channels_in, size, expanded, stride)
        self.expands = expanded != channels_in
        if self.expands:
            self.exp_conv, self.exp_norm = dynamic(channels_in, expanded, 1), batch_norm(expanded)
            self.exp_act = nn.Hardswish() if block.has_hardswish else nn.ReLU()
        self.depth_conv = dynamic(expanded, expanded, block.kernel, stride=stride, groups=expanded)
        self.depth_norm = batch_norm(expanded)
        self.depth_act = DynamicActivation(expanded, size)
        self.proj_conv, self.proj_norm = dynamic(expanded, channels_out, 1), batch_norm(channels_out)
        self.has_shortcut = stride == (1, 1) and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels_in, frequency, time) to (batch, channels_out, frequency', time')."""
        shortcut, context = x, self.context_gen(x)
        if self.expands:
            x = self.exp_act(self.exp_norm(self.exp_conv(x, context)))
        x = self.depth_act(self.depth_norm(self.depth_conv(x, context)), context)
        x = x * context.frequency.sigmoid() * context.time.sigmoid()
        x = self.proj_norm(self.proj_conv(x, context))
        return x + shortcut if self.has_shortcut else x


class DynamicMobileNet(Backbone):
    """Dynamic MobileNet of one width.

    Args:
        width: Factor on all channel counts; 1.0 gives 960 output features.
        blocks: Its inverted residuals, with their strides.
        temperature: Of the softmax over kernels.
    """

    has_chained_stages = True

    def __init__(self, width: float, blocks: Sequence[Block] = LARGE, temperature: float = 1.0) -> None:
        super().__init__()
        channels_in, channels_last = scaled(blocks[0].channels_in, width), scaled(blocks[-1].channels_out, width)
        self.out_dim = 6 * channels_last
        self.time_stride = 2 * math.prod(block.stride_time for block in blocks)
        self.in_c = ConvNormAct(1, channels_in, 3, (2, 2), activation=nn.Hardswish)
        self.layers = nn.Sequential(*(DynamicBlock(block, width, temperature) for block in blocks))
        self.out_c = ConvNormAct(channels_last, self.out_dim, 1, activation=nn.Hardswish)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
                nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, ContextGenerator):  # all gates begin at a half, or fifteen blocks of them explode
                nn.init.normal_(module.conv_f.weight, 0, 0.01)
                nn.init.normal_(module.conv_t.weight, 0, 0.01)

    def forward(self, mel: Tensor) -> Tensor:
        """Spectrogram (batch, 1, mel_bins, frames) to features (batch, time, out_dim)."""
        check_mel(mel, "dymn", MEL_BINS)
        features: Tensor = self.out_c(self.layers(self.in_c(mel)))
        return features.mean(2).transpose(1, 2)

    def stages(self) -> list[nn.Module]:
        """See `contracts.Backbone`."""
        return [self.in_c, *self.layers, self.out_c]


@dataclass(frozen=True)
class DynamicConfig(BackboneConfig):
    """What networks for tagging and for detection share."""

    width: ClassVar[float]
    blocks: ClassVar[Sequence[Block]] = LARGE

    temperature: float = 1.0
    """Of the softmax over kernels: the released AudioSet weights need 1, those of ImageNet 30."""

    def __post_init__(self) -> None:
        require(self.temperature > 0, "backbone.temperature", self.temperature, "above 0")

    def build(self) -> Backbone:
        """The network, with random weights."""
        return DynamicMobileNet(self.width, self.blocks, self.temperature)


WIDTHS = {"04": 0.4, "10": 1.0, "20": 2.0}


@BACKBONES.register_family({f"dymn{name}": {"width": width} for name, width in WIDTHS.items()})
@dataclass(frozen=True)
class DymnConfig(DynamicConfig):
    """Dynamic MobileNet of one width for tagging: a step of 320 ms."""

    has_mel_jitter: ClassVar[bool] = False
    blocks: ClassVar[Sequence[Block]] = TAGGING

    def build_frontend(self) -> FrontEnd:
        """The log-mel at 32 kHz that the released weights were trained on."""
        return EfficientAtMel()

    def build_classifier(self, num_classes: int) -> Classifier:
        """The network's own classifier, for models without a sequence head."""
        return MobileNetClassifier(self.width, num_classes)


@BACKBONES.register_family(
    {f"fdymn{name}": {"width": width, "weights_of": f"dymn{name}"} for name, width in WIDTHS.items()}
)
@dataclass(frozen=True)
class FramewiseConfig(DynamicConfig):
    """Frame-wise dynamic MobileNet of one width: a step of 40 ms, as fmn."""
