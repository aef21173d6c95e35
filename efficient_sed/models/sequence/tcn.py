"""Temporal convolutional network.

Bai et al., "An empirical evaluation of generic convolutional and recurrent networks for sequence modeling", 2018
(https://arxiv.org/abs/1803.01271), as used by Morocutti et al. 2025, section II-B: blocks of five residual stages with
doubling dilation and weight-normalised convolutions. `tcn` sees only the past, as published; `bitcn` is ours: the same
convolutions centred on their step, with the same parameters and MACs, so that it compares with heads that see both
ways.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from efficient_sed.config.model import SequenceHeadConfig
from efficient_sed.models.contracts import CausalHead, SequenceHead, State
from efficient_sed.models.dropout import Dropout
from efficient_sed.models.sequence.blocks import input_projection, require_layers, require_size
from efficient_sed.models.weight_norm import WeightNormConv1d
from efficient_sed.registry import SEQUENCE_HEADS

NUM_STAGES = 5
KERNEL = 3


def normed_convolution(channels: int, dilation: int) -> WeightNormConv1d:
    """Convolution without padding, each kernel of which has one length."""
    return WeightNormConv1d(channels, KERNEL, std=0.01, norm_dims=(1, 2), dilation=dilation)


def context(conv: nn.Module) -> int:
    """Steps beside its own that an output step needs, of such a convolution or its fused form."""
    (dilation,) = conv.dilation  # type: ignore[misc]
    return (KERNEL - 1) * int(dilation)


class TcnStage(nn.Module):
    """Two convolutions with ReLU and dropout, and a ReLU over their sum with the input."""

    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.conv1 = normed_convolution(channels, dilation)
        self.conv2 = normed_convolution(channels, dilation)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, tails: Iterator[Tensor] | None, new_tails: list[Tensor]) -> Tensor:
        """Filter x, shape (batch, channels, time).

        Args:
            x: The input.
            tails: What comes before x, the next of them for each convolution, default None: zeros on both sides.
            new_tails: Where to append what comes before the next chunk.
        """
        y = x
        for conv in (self.conv1, self.conv2):
            if tails is None:
                y = F.pad(y, (context(conv) // 2, context(conv) // 2))
            else:
                y = torch.cat([next(tails), y], dim=2)
                new_tails.append(y[:, :, y.shape[2] - context(conv) :].clone())  # a view would keep the whole chunk
            y = self.dropout(torch.relu(conv(y)))
        return torch.relu(x + y)


class _Tcn(SequenceHead):
    def __init__(self, in_dim: int, hidden: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        self.projection = input_projection(in_dim, hidden)
        self.blocks = nn.ModuleList(
            nn.ModuleList(TcnStage(hidden, 2**index, dropout) for index in range(NUM_STAGES)) for _ in range(num_layers)
        )
        self.out_dim = hidden

    def _run(self, features: Tensor, tails: Iterator[Tensor] | None) -> tuple[Tensor, State]:
        x = self.projection(features).transpose(1, 2)  # (B, D, T)
        new_tails: list[Tensor] = []
        for stages in self.blocks:
            y = x
            for stage in stages:  # type: ignore[attr-defined]
                y = stage(y, tails, new_tails)
            x = x + y
        return x.transpose(1, 2), tuple(new_tails)


class TcnHead(_Tcn, CausalHead):
    """Features (batch, time, in_dim) -> (batch, time, hidden).

    State: for each convolution its last (batch, hidden, context) inputs.
    """

    RELEASED_NAMES = (
        (r"^0\.", "projection."),
        (r"^1\.layers\.(\d+)\.network\.(\d+)\.net\.0\.", r"blocks.\1.\2.conv1."),
        (r"^1\.layers\.(\d+)\.network\.(\d+)\.net\.4\.", r"blocks.\1.\2.conv2."),
        (
            r"^1\.layers\.\d+\.network\.\d+\.conv[12]\..*",
            None,
        ),  # each convolution is stored under two names; of two contents `net` counts
    )

    def stream(self, features: Tensor, state: State | None) -> tuple[Tensor, State]:
        """See `contracts.CausalHead`."""
        if state is None:
            stages = [stage for stages in self.blocks for stage in stages]  # type: ignore[attr-defined]
            lengths = [context(conv) for stage in stages for conv in (stage.conv1, stage.conv2)]
            empty = features.new_zeros(features.shape[0], self.out_dim, max(lengths))
            state = tuple(empty[:, :, :length] for length in lengths)
        return self._run(features, iter(state))


class BiTcnHead(_Tcn):
    """Features (batch, time, in_dim) -> (batch, time, hidden), each step seeing as far ahead as back."""

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, time, in_dim) to (batch, time, out_dim)."""
        return self._run(features, None)[0]


@SEQUENCE_HEADS.register_family({"tcn": {"head": TcnHead}, "bitcn": {"head": BiTcnHead}})
@dataclass(frozen=True)
class TcnConfig(SequenceHeadConfig):
    """Options of this head."""

    head: ClassVar[type[_Tcn]]

    hidden: int = 256
    """Channels of all convolutions."""
    num_layers: int = 2
    """Blocks of five stages."""
    dropout: float = 0.2
    """Dropout after each convolution, 0 to below 1."""

    def __post_init__(self) -> None:
        require_size("seq.hidden", self.hidden)
        require_layers(self.num_layers, self.dropout)

    def build(self, in_dim: int) -> SequenceHead:
        """The head for features of `in_dim` values."""
        return self.head(in_dim, self.hidden, self.num_layers, self.dropout)
