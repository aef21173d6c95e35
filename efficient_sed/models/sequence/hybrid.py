"""Hybrid of a bidirectional minGRU and attention, side by side in each block.

Morocutti et al. 2025, section II-B (https://arxiv.org/abs/2503.11373): half the normalised minGRU output (see
mingru.py), half the normalised attention output, without positions. Changed: both directions run in one linear-space
scan, and hidden sizes below 128, which the published code refuses although such a model was released, are allowed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from efficient_sed.config.model import SequenceHeadConfig
from efficient_sed.models.contracts import SequenceHead
from efficient_sed.models.sequence.blocks import (
    BlockHead,
    FeedForward,
    RMSNorm,
    attention_macs,
    merge_heads,
    require_heads,
    require_layers,
    require_multiple,
    split_heads,
)
from efficient_sed.models.sequence.mingru import mingru_states
from efficient_sed.registry import SEQUENCE_HEADS


class BidirectionalMinGru(nn.Module):
    """Two minGRU cells, one on the reversed sequence, projected back to (batch, time, dim)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.forward_cell = nn.Linear(dim, 2 * dim, bias=False)
        self.backward_cell = nn.Linear(dim, 2 * dim, bias=False)
        self.combine = nn.Linear(2 * dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Steps (batch, time, dim) to the same shape."""
        forward_hidden, forward_gate = self.forward_cell(x).chunk(2, dim=-1)
        backward_hidden, backward_gate = self.backward_cell(x).flip(1).chunk(2, dim=-1)
        states = mingru_states(torch.cat([forward_hidden, backward_hidden, forward_gate, backward_gate], dim=-1)).to(
            x.dtype
        )
        ahead, back = states.chunk(2, dim=-1)
        output: Tensor = self.combine(torch.cat([ahead, back.flip(1)], dim=-1))
        return output


class HybridMixer(nn.Module):
    """Mean of minGRU and attention, each normalised within its heads."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.recurrent = BidirectionalMinGru(dim)
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.recurrent_norm = RMSNorm(dim // num_heads)
        self.attention_norm = RMSNorm(dim // num_heads)
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Steps (batch, time, dim) to the same shape."""
        q, k, v = (split_heads(part, self.num_heads) for part in self.qkv(x).chunk(3, dim=-1))
        attended = self.attention_norm(F.scaled_dot_product_attention(q, k, v))
        recurrent = self.recurrent_norm(split_heads(self.recurrent(x), self.num_heads))
        output: Tensor = self.out(merge_heads(0.5 * (recurrent + attended)))
        return output

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        """See `contracts.CountsMacs`: queries by keys, and weights by values."""
        return attention_macs(inputs[0].shape[1], inputs[0].shape[2])


class HybridBlock(nn.Module):
    """The mixer, then feed-forward, each on a normalised input and added to it."""

    def __init__(self, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.norm = RMSNorm(dim)
        self.mixer = HybridMixer(dim, num_heads)
        self.feed_forward = FeedForward(dim, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Steps (batch, time, dim) to the same shape."""
        mixed: Tensor = x + self.mixer(self.norm(x))
        output: Tensor = mixed + self.feed_forward(mixed)
        return output


class HybridHead(BlockHead):
    """Features (batch, time, in_dim) -> (batch, time, hidden)."""

    RELEASED_NAMES = (
        (r"^0\.", "projection."),
        (r"^1\.norm\.", "norm."),
        (r"^1\.layers\.(\d+)\.0\.gamma", r"blocks.\1.norm.gamma"),
        (
            r"^1\.layers\.(\d+)\.1\.rnn\.(forward|backward)_minGRU\.to_hidden_and_gate\.",
            r"blocks.\1.mixer.recurrent.\2_cell.",
        ),
        (r"^1\.layers\.(\d+)\.1\.rnn\.to_out\.", r"blocks.\1.mixer.recurrent.combine."),
        (r"^1\.layers\.(\d+)\.1\.rnn_out_norm\.", r"blocks.\1.mixer.recurrent_norm."),
        (r"^1\.layers\.(\d+)\.1\.attn_out_norm\.", r"blocks.\1.mixer.attention_norm."),
        (r"^1\.layers\.(\d+)\.1\.to_(qkv|out)\.", r"blocks.\1.mixer.\2."),
        (r"^1\.layers\.(\d+)\.2\.gamma", r"blocks.\1.feed_forward.0.gamma"),
        (r"^1\.layers\.(\d+)\.3\.0\.", r"blocks.\1.feed_forward.1."),
        (r"^1\.layers\.(\d+)\.3\.2\.", r"blocks.\1.feed_forward.4."),
    )

    def __init__(self, in_dim: int, hidden: int, num_layers: int, num_heads: int, dropout: float) -> None:
        super().__init__(in_dim, hidden, num_layers, lambda: HybridBlock(hidden, num_heads, dropout))


@SEQUENCE_HEADS.register("hybrid")
@dataclass(frozen=True)
class HybridConfig(SequenceHeadConfig):
    """Options of this head."""

    hidden: int = 256
    """Model dimension."""
    num_layers: int = 2
    """Number of blocks, 1 to 100."""
    num_heads: int = 8
    """Attention heads of each layer, 1 to 256."""
    dropout: float = 0.0
    """In the feed-forward parts."""

    def __post_init__(self) -> None:
        require_layers(self.num_layers, self.dropout)
        require_heads(self.num_heads)
        require_multiple(self.hidden, self.num_heads, f"seq.num_heads = {self.num_heads}")

    def build(self, in_dim: int) -> SequenceHead:
        """The head for features of `in_dim` values."""
        return HybridHead(in_dim, self.hidden, self.num_layers, self.num_heads, self.dropout)
