"""Dilated convolution over time and features, the head of dnd-sed.

Drossos et al., "Sound event detection with depthwise separable and dilated convolutions", IJCNN 2020
(https://arxiv.org/abs/2002.00476), section II-C: the features of all steps are one image, filtered by one layer of
two-dimensional kernels that are dilated in time. Kernel and dilation default to the paper's best. Changed: a linear
layer in front fits any backbone (none where the sizes agree, as in the paper). Prinzivalle's replication of 2021 thins
the features out behind the convolution instead of by its stride, or averages them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from efficient_sed.config.model import SequenceHeadConfig
from efficient_sed.errors import require
from efficient_sed.models.contracts import SequenceHead
from efficient_sed.models.sequence.blocks import input_projection, require_size
from efficient_sed.registry import SEQUENCE_HEADS

JOIN_STRIDE = 3
MAX_DILATION = 10_000
Join = Literal["stride", "conv1x1", "maxpool", "mean"]


class DilatedHead(SequenceHead):
    """Features (batch, time, in_dim) -> (batch, time, channels * width).

    Args:
        feature_stride: Of the convolution, where `join` is "stride"; width is then (hidden - kernel) // feature_stride
            + 1.
        join: How the filtered features are thinned out before the classifier.
    """

    def __init__(
        self, in_dim: int, hidden: int, channels: int, kernel: int, dilation: int, feature_stride: int, join: Join
    ) -> None:
        super().__init__()
        stride = feature_stride if join == "stride" else 1
        self.projection = input_projection(in_dim, hidden)
        self.conv = nn.Conv2d(
            1, channels, kernel, stride=(1, stride), padding=(dilation * (kernel - 1) // 2, 0), dilation=(dilation, 1)
        )
        self.norm = nn.BatchNorm2d(channels)
        width = (hidden - kernel) // stride + 1
        self.join: nn.Module
        if join == "conv1x1":
            self.join, width = nn.Conv2d(channels, channels, 1, stride=(1, JOIN_STRIDE)), (width - 1) // JOIN_STRIDE + 1
        elif join == "maxpool":
            self.join, width = nn.MaxPool2d((1, JOIN_STRIDE)), width // JOIN_STRIDE
        elif join == "mean":
            self.join, width = nn.AvgPool2d((1, width)), 1
        else:
            self.join = nn.Identity()
        self.out_dim = channels * width

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, time, in_dim) to (batch, time, out_dim)."""
        image = self.projection(features).unsqueeze(1)  # (B, 1, T, hidden)
        filtered: Tensor = self.join(self.norm(torch.relu(self.conv(image))))
        return filtered.transpose(1, 2).flatten(2)


@SEQUENCE_HEADS.register("dilated")
@dataclass(frozen=True)
class DilatedConfig(SequenceHeadConfig):
    """Options of this head."""

    hidden: int = 256
    """Features that the image is wide.

    The classifier reads channels * (hidden - kernel) / stride features a step, which makes it large.
    """
    channels: int = 256
    """Filters of the dilated convolution, 1 to 8192."""
    kernel: int = 7
    """3, 5 or 7, over time and features."""
    dilation: int = 10
    """Steps between the taps in time; the paper's are 1, 10, 50 and 100."""
    join: Join = "stride"
    """How the number of filtered features is reduced.

    By the convolution's own stride, by a 1x1 convolution or a maximum of stride 3 behind it, or by their mean, which
    with the mean over time of the clip logits is global average pooling.
    """

    def __post_init__(self) -> None:
        require(self.kernel in (3, 5, 7), "seq.kernel", self.kernel, "3, 5 or 7")
        require(1 <= self.dilation <= MAX_DILATION, "seq.dilation", self.dilation, f"1 to {MAX_DILATION} steps")
        require_size("seq.channels", self.channels)
        require_size("seq.hidden", self.hidden, self.kernel, f", seq.kernel = {self.kernel} or more")
        is_wide = self.join != "maxpool" or self.hidden - self.kernel + 1 >= JOIN_STRIDE
        require(is_wide, "seq.hidden", self.hidden, f"at least {self.kernel + JOIN_STRIDE - 1} with seq.join=maxpool")

    @property
    def feature_stride(self) -> int:
        """Of the convolution over features, inferred from the paper's parameter counts."""
        return 3 if self.kernel == 7 else 2

    def build(self, in_dim: int) -> SequenceHead:
        """The head for features of `in_dim` values."""
        return DilatedHead(
            in_dim, self.hidden, self.channels, self.kernel, self.dilation, self.feature_stride, self.join
        )
