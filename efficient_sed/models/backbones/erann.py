"""Residual convolutional networks that cut time as hard as frequency, and frame-wise ones that do not.

Verbitskiy and Vyshegorodtsev, "ERANNs: Efficient Residual Audio Neural Networks for Audio Pattern Recognition"
(https://arxiv.org/abs/2106.01621), tables 1 and 2. What the text leaves open follows from the published numbers of
parameters, which come out to the digit: no convolution has a bias, a shortcut is a 1x1 convolution with BatchNorm where
its block changes shape or channels, and the first block keeps its BatchNorm, over the one channel, though the text says
it has none. Frequency is averaged before time is pooled, as in the networks that the paper takes its pooling from.
Changed: zeros behind the last frame fill up the last step, so that any number of frames works (there a stride of 4
needs multiples of it). The frame-wise networks, `erann1` to `erann6`, are not published.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from efficient_sed.audio.frontends.erann import MEL_BINS, ErannMel
from efficient_sed.audio.frontends.mel import FrontEnd
from efficient_sed.config.model import BackboneConfig
from efficient_sed.errors import require
from efficient_sed.models.contracts import Backbone, Classifier, SedOutput, check_mel
from efficient_sed.registry import BACKBONES

NUM_BLOCKS, UNITS_PER_BLOCK = 5, 4
STEM_CHANNELS = 8  # times the width in the first block, twice as many in each further one
KERNELS = {1: (3, 3), 2: (3, 3), 4: (6, 5)}  # sizes of both convolutions by the stride of the first
PUBLISHED_STRIDE, TIME_FACTORS = 16, (1, 2, 4, 8, 16)  # frames of a step with time_factor 1
TIME_STRIDES = (8, 4)


def time_strides(total: int) -> tuple[int, ...]:
    """Strides of blocks 2 to 5: powers of two as near to each other as can be, larger ones first.

    Equation 2, where their product is 16 or more.

    Args:
        total: Their product, a power of two.
    """
    each, larger = divmod(total.bit_length() - 1, NUM_BLOCKS - 1)
    return tuple(2 ** (each + (block < larger)) for block in range(NUM_BLOCKS - 1))


def block_channels(width: int) -> list[int]:
    """Channels of each block."""
    return [STEM_CHANNELS * width * 2**block for block in range(NUM_BLOCKS)]


class TimeFrequencyUnit(nn.Module):
    """Two convolutions before each of which there are BatchNorm and LeakyReLU, beside a shortcut; table 2.

    Args:
        stride: In frequency and time.
        is_first: Of the network: the input is not rectified.
    """

    def __init__(self, channels_in: int, channels: int, stride: tuple[int, int], is_first: bool) -> None:
        super().__init__()
        kernels = [KERNELS[axis] for axis in stride]
        self.branch = nn.Sequential(
            nn.BatchNorm2d(channels_in),
            nn.Identity() if is_first else nn.LeakyReLU(inplace=True),
            nn.Conv2d(channels_in, channels, (kernels[0][0], kernels[1][0]), stride, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.LeakyReLU(inplace=True),
            nn.Conv2d(
                channels,
                channels,
                (kernels[0][1], kernels[1][1]),
                padding=(kernels[0][1] // 2, kernels[1][1] // 2),
                bias=False,
            ),
        )
        is_same = stride == (1, 1) and channels_in == channels
        # the stride is a pooling of single places: in torch 2.11 a CPU's strided 1x1 convolution of few channels in
        # channels_last crashes in training
        thinned = nn.MaxPool2d(1, stride)
        self.shortcut = (
            nn.Identity()
            if is_same
            else nn.Sequential(thinned, nn.Conv2d(channels_in, channels, 1, bias=False), nn.BatchNorm2d(channels))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels_in, frequency, time) to (batch, channels, frequency', time')."""
        output: Tensor = self.branch(x)
        return output.add_(self.shortcut(x))  # in place: a convolution does not need its output again


class ErannBlocks(Backbone):
    """Spectrogram (batch, 1, 128, frames) -> features (batch, time, 128 * width), the mean over eight frequencies.

    Args:
        width: The widening factor W.
        time_stride: Spectrogram frames per step, a power of two.
    """

    def __init__(self, width: int, time_stride: int) -> None:
        super().__init__()
        self.time_stride = time_stride
        self.norm = nn.BatchNorm2d(MEL_BINS)  # of each mel bin: standardisation
        blocks: list[nn.Module] = []
        channels_in = 1
        for channels, time in zip(block_channels(width), (1, *time_strides(time_stride)), strict=True):
            first = TimeFrequencyUnit(channels_in, channels, (2 if blocks else 1, time), is_first=not blocks)
            further = (
                TimeFrequencyUnit(channels, channels, (1, 1), is_first=False) for _ in range(UNITS_PER_BLOCK - 1)
            )
            blocks.append(nn.Sequential(first, *further))
            channels_in = channels
        self.blocks = nn.Sequential(*blocks)
        self.out_dim = channels_in
        # a training step of erann1 takes 0.7 of the time
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def feature_map(self, mel: Tensor) -> Tensor:
        """Shape (batch, 128 * width, 8, time).

        Raises:
            ShapeError: If the spectrogram has another shape.
        """
        check_mel(mel, "erann", MEL_BINS)
        mel = self.norm(mel.transpose(1, 2)).transpose(1, 2)
        features: Tensor = self.blocks(F.pad(mel, (0, -mel.shape[-1] % self.time_stride)))
        return features

    def forward(self, mel: Tensor) -> Tensor:
        """Spectrogram (batch, 1, mel_bins, frames) to features (batch, time, out_dim)."""
        return self.feature_map(mel).mean(2).transpose(1, 2)

    def stages(self) -> list[nn.Module]:
        """See `contracts.Backbone`."""
        return [self.norm, *self.blocks]


class ErannClassifier(Classifier):
    """Two layers on the mean over time plus the maximum over time, and on each step as if it were the whole clip."""

    def __init__(self, in_dim: int, num_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(in_dim, in_dim), nn.LeakyReLU(), nn.Linear(in_dim, num_classes))

    def forward(self, features: Tensor) -> SedOutput:
        """Features (batch, time, in_dim)."""
        frame_logits: Tensor = self.layers(2 * features)  # a step's own mean plus maximum
        return SedOutput(frame_logits.transpose(1, 2), self.layers(features.mean(1) + features.amax(1)))


@dataclass(frozen=True)
class ErannBase(BackboneConfig):
    """What networks for tagging and for detection share."""

    has_mel_jitter: ClassVar[bool] = False

    def build_frontend(self) -> FrontEnd:
        """The front end whose spectrograms the network takes."""
        return ErannMel()


@BACKBONES.register("erann")
@dataclass(frozen=True)
class ErannConfig(ErannBase):
    """The published network for tagging, half a second a step."""

    width: int = 5
    """Widening factor W: channels in the first block are eight times this."""
    time_factor: int = 4
    """Decreasing temporal size parameter: a step is 16 times as many frames, an eighth of a second for 1."""

    def __post_init__(self) -> None:
        require(self.width >= 1, "backbone.width", self.width, "1 or more")
        require(
            self.time_factor in TIME_FACTORS,
            "backbone.time_factor",
            self.time_factor,
            f"one of {', '.join(map(str, TIME_FACTORS))}",
        )

    def build(self) -> Backbone:
        """The network, with random weights."""
        return ErannBlocks(self.width, PUBLISHED_STRIDE * self.time_factor)

    def build_classifier(self, num_classes: int) -> Classifier:
        """The network's own classifier, for models without a sequence head."""
        return ErannClassifier(block_channels(self.width)[-1], num_classes)


@BACKBONES.register_family({f"erann{width}": {"width": width} for width in (1, 2, 4, 5, 6)})
@dataclass(frozen=True)
class FramewiseConfig(ErannBase):
    """The same with smaller strides in time, for detection.

    At 63 ms it has a fifth more MACs than the published network at its shortest step of 125 ms; at 31 ms four fifths
    more.
    """

    width: ClassVar[int]

    time_stride: int = 8
    """Spectrogram frames per step: 8 for 63 ms, or 4 for 31 ms."""

    def __post_init__(self) -> None:
        require(
            self.time_stride in TIME_STRIDES,
            "backbone.time_stride",
            self.time_stride,
            f"one of {', '.join(map(str, TIME_STRIDES))}",
        )

    def build(self) -> Backbone:
        """The network, with random weights."""
        return ErannBlocks(self.width, self.time_stride)

    def build_classifier(self, num_classes: int) -> Classifier:
        """The network's own classifier, for models without a sequence head."""
        return ErannClassifier(block_channels(self.width)[-1], num_classes)
