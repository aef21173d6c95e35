"""Frame-wise MobileNetV3 (fmn).

Howard et al., "Searching for MobileNetV3", ICCV 2019 (https://arxiv.org/abs/1905.02244), in the frame-wise form of
Morocutti et al., "Exploring Performance-Complexity Trade-Offs in Sound Event Detection Models", 2025, section II-A: one
input channel, strides moved from time to frequency so that 128 mel bins collapse to one and a step lasts four frames,
no global pooling. The gate of squeeze-excitation is a sigmoid, as in the released weights, not a hard sigmoid as in the
first paper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from efficient_sed.audio.frontends.mel import MEL_BINS, FrontEnd, LogMel
from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.config.model import BackboneConfig
from efficient_sed.config.values import WHOLE
from efficient_sed.errors import require
from efficient_sed.models.contracts import Backbone, check_mel
from efficient_sed.models.conv_norm import ConvNormAct
from efficient_sed.registry import BACKBONES


class Block(NamedTuple):
    """One inverted-residual block at width 1.0."""

    channels_in: int
    kernel: int
    channels_expanded: int
    channels_out: int
    has_squeeze_excitation: bool
    has_hardswish: bool
    stride_frequency: int
    stride_time: int


LARGE = (
    Block(16, 3, 16, 16, False, False, 1, 1),
    Block(16, 3, 64, 24, False, False, 2, 2),
    Block(24, 3, 72, 24, False, False, 2, 1),
    Block(24, 5, 72, 40, True, False, 1, 1),
    Block(40, 5, 120, 40, True, False, 1, 1),
    Block(40, 5, 120, 40, True, False, 2, 1),
    Block(40, 3, 240, 80, False, True, 1, 1),
    Block(80, 3, 200, 80, False, True, 2, 1),
    Block(80, 3, 184, 80, False, True, 1, 1),
    Block(80, 3, 184, 80, False, True, 1, 1),
    Block(80, 3, 480, 112, True, True, 2, 1),
    Block(112, 3, 672, 112, True, True, 1, 1),
    Block(112, 5, 672, 160, True, True, 1, 1),
    Block(160, 5, 960, 160, True, True, 1, 1),
    Block(160, 5, 960, 160, True, True, 2, 1),
)
TIME_STRIDED = {
    2: tuple(block._replace(stride_time=1) for block in LARGE),
    4: LARGE,
    8: (*LARGE[:6], LARGE[6]._replace(stride_time=2), *LARGE[7:]),
}
"""By spectrogram frames in a step, those of the first convolution's stride of 2 included."""
PUBLISHED_STRIDES = (1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1)
TAGGING = tuple(
    block._replace(stride_frequency=stride, stride_time=stride)
    for block, stride in zip(LARGE, PUBLISHED_STRIDES, strict=True)
)
"""With the strides of the first paper, as in Schmid et al. 2023 (https://arxiv.org/abs/2211.04772)."""


def make_divisible(value: float, divisor: int = 8) -> int:
    """The multiple of `divisor` nearest to `value`, never more than a tenth below it."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * value else rounded + divisor


def scaled(channels: int, width: float) -> int:
    """Channels at a width, a multiple of eight."""
    return make_divisible(channels * width)


class SqueezeExcitation(nn.Module):
    """Scales each channel by a gate computed from its mean over frequency and time."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = make_divisible(channels / 4)
        self.fc1 = nn.Linear(channels, squeezed)
        self.fc2 = nn.Linear(squeezed, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, frequency, time) to the same shape."""
        return x * self.gate(x)

    def gate(self, x: Tensor) -> Tensor:
        """Shape (batch, channels, 1, 1), in (0, 1)."""
        return torch.sigmoid(self.fc2(torch.relu(self.fc1(x.mean((2, 3))))))[:, :, None, None]


class InvertedResidual(nn.Module):
    """Expand, filter each channel, gate, project; with a shortcut where shapes agree."""

    def __init__(self, block: Block, width: float) -> None:
        super().__init__()
        scale = partial(scaled, width=width)
        channels_in, expanded, channels_out = (
            scale(block.channels_in),
            scale(block.channels_expanded),
            scale(block.channels_out),
        )
        activation = nn.Hardswish if block.has_hardswish else nn.ReLU
        stride = (block.stride_frequency, block.stride_time)
        layers: list[nn.Module] = []
        if expanded != channels_in:
            layers.append(ConvNormAct(channels_in, expanded, 1, activation=activation))
        layers.append(ConvNormAct(expanded, expanded, block.kernel, stride, groups=expanded, activation=activation))
        if block.has_squeeze_excitation:
            layers.append(SqueezeExcitation(expanded))
        layers.append(ConvNormAct(expanded, channels_out, 1))
        self.block = nn.Sequential(*layers)
        self.has_shortcut = stride == (1, 1) and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels_in, frequency, time) to (batch, channels_out, frequency', time')."""
        output: Tensor = self.block(x)
        return (
            output.add_(x) if self.has_shortcut else output
        )  # in place: neither BatchNorm nor a convolution needs its output again


class FrameMobileNet(Backbone):
    """MobileNetV3-Large that keeps a step each four frames, or with other strides.

    Args:
        width: Factor on all channel counts; 1.0 gives 960 output features.
        blocks: Its inverted residuals, with their strides.
        mel_bins: Bands of its spectrograms.
    """

    RELEASED_NAMES = ((r"\.conc_se_layers\.0\.", "."),)
    has_chained_stages = True

    def __init__(self, width: float, blocks: Sequence[Block] = LARGE, mel_bins: int = MEL_BINS) -> None:
        super().__init__()
        self.mel_bins = mel_bins
        channels_in, channels_last = scaled(blocks[0].channels_in, width), scaled(blocks[-1].channels_out, width)
        self.time_stride = 2 * math.prod(block.stride_time for block in blocks)
        self.out_dim = 6 * channels_last
        self.features = nn.Sequential(
            ConvNormAct(1, channels_in, 3, (2, 2), activation=nn.Hardswish),
            *(InvertedResidual(block, width) for block in blocks),
            ConvNormAct(channels_last, self.out_dim, 1, activation=nn.Hardswish),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
                nn.init.zeros_(module.bias)
        # a training step takes two thirds of the time
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, mel: Tensor) -> Tensor:
        """Spectrogram (batch, 1, mel_bins, frames) to features (batch, time, out_dim)."""
        check_mel(mel, "fmn", self.mel_bins)
        features: Tensor = self.features(mel)  # (B, D, F, T)
        along_time = features.squeeze(2) if features.shape[2] == 1 else features.mean(2)
        return along_time.transpose(1, 2)

    def stages(self) -> list[nn.Module]:
        """See `contracts.Backbone`."""
        return list(self.features)


WIDTHS = {f"{tenths:02d}": tenths / 10 for tenths in (1, 2, 4, 5, 6, 10, 20, 30, 40)}
TIMM_NAMES = {"10": "mobilenetv3_large_100.ra_in1k"}


@BACKBONES.register_family(
    {
        f"fmn{name}": {"width": width, "weights_of": f"mn{name}", "timm_name": TIMM_NAMES.get(name)}
        for name, width in WIDTHS.items()
    }
)
@dataclass(frozen=True)
class FmnConfig(BackboneConfig):
    """Frame-wise MobileNetV3 of one width. A step lasts `time_stride` hops, 40 ms by default."""

    width: ClassVar[float]

    mel_bins: int = MEL_BINS
    """Bands of the spectrogram, 16 to 128; the released weights were trained with 128."""
    hop_ms: float = 10.0
    """From one frame of the spectrogram to the next, 5 to 50 in whole samples at 16 kHz; released: 10."""
    time_stride: int = 4
    """Frames of the spectrogram in a step: 2, 4 or 8; released: 4."""

    def __post_init__(self) -> None:
        samples = self.hop_ms * SAMPLE_RATE / 1000
        require(16 <= self.mel_bins <= MEL_BINS, "backbone.mel_bins", self.mel_bins, f"16 to {MEL_BINS}")
        is_hop = 5 <= self.hop_ms <= 50 and abs(samples - round(samples)) < WHOLE
        require(is_hop, "backbone.hop_ms", self.hop_ms, "5 to 50 ms, in whole samples at 16 kHz (steps of 0.0625 ms)")
        strides = ", ".join(map(str, TIME_STRIDED))
        require(self.time_stride in TIME_STRIDED, "backbone.time_stride", self.time_stride, f"one of {strides}")

    def build(self) -> Backbone:
        """The network, with random weights."""
        return FrameMobileNet(self.width, TIME_STRIDED[self.time_stride], self.mel_bins)

    def build_frontend(self) -> FrontEnd:
        """The log-mel of the released models, with other bands or frames on request."""
        return LogMel(self.mel_bins, round(self.hop_ms * SAMPLE_RATE / 1000))
