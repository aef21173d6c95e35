"""Transformer blocks with rotary positions and gated heads.

Vaswani et al., "Attention is all you need", NeurIPS 2017 (https://arxiv.org/abs/1706.03762), with rotary embedding
(Su et al. 2021, https://arxiv.org/abs/2104.09864), RMSNorm before each part and at the end, and each attention head scaled by a gate
from its input; as used by Morocutti et al. 2025, section II-B.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from efficient_sed.config.schema import SequenceHeadConfig, require
from efficient_sed.models.contracts import SequenceHead
from efficient_sed.registry import SEQUENCE_HEADS


class RMSNorm(nn.Module):
    """x / ||x|| * sqrt(dim) * gamma."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=-1) * (math.sqrt(x.shape[-1]) * self.gamma)


class RotaryEmbedding(nn.Module):
    """Rotates neighbouring pairs of features by an angle that grows with time. The released files store the fixed frequencies as parameters."""

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        self.freqs = nn.Parameter(10000.0 ** (-torch.arange(0, head_dim, 2) / head_dim), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Rotate x of shape (..., time, head_dim)."""
        time = torch.arange(x.shape[-2], device=x.device, dtype=torch.float32)
        angle = time[:, None] * self.freqs.float()  # (T, head_dim / 2)
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        even, odd = x[..., 0::2], x[..., 1::2]
        return torch.stack((even * cos - odd * sin, odd * cos + even * sin), dim=-1).flatten(-2)


class GatedAttention(nn.Module):
    """Multi-head self-attention over all steps; each head's output is scaled by a sigmoid gate of the normalised input."""

    def __init__(self, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads, self.dropout = num_heads, dropout
        self.norm = RMSNorm(dim)
        self.rotary = RotaryEmbedding(dim // num_heads)
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.gates = nn.Linear(dim, num_heads)
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        B, T, D = x.shape
        x = self.norm(x)
        q, k, v = self.qkv(x).view(B, T, 3, self.num_heads, D // self.num_heads).permute(2, 0, 3, 1, 4)  # each (B, heads, T, head_dim)
        attended = F.scaled_dot_product_attention(self.rotary(q), self.rotary(k), v, dropout_p=self.dropout if self.training else 0.0)
        gated = attended * self.gates(x).sigmoid().transpose(1, 2).unsqueeze(-1)
        return F.dropout(self.out(gated.transpose(1, 2).reshape(B, T, D)), self.dropout, self.training)


class FeedForward(nn.Sequential):
    """Two layers on each step, four times as wide between them."""

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__(RMSNorm(dim), nn.Linear(dim, 4 * dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * dim, dim), nn.Dropout(dropout))


class TransformerBlock(nn.Module):
    def __init__(self, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = GatedAttention(dim, num_heads, dropout)
        self.feed_forward = FeedForward(dim, dropout)

    def forward(self, x: Tensor) -> Tensor:
        attended: Tensor = x + self.attention(x)
        output: Tensor = attended + self.feed_forward(attended)
        return output


class TransformerHead(SequenceHead):
    """Features (batch, time, in_dim) -> (batch, time, hidden)."""

    RELEASED_NAMES = (
        (r"^0\.", "projection."),
        (r"^1\.norm\.", "norm."),
        (r"^1\.layers\.(\d+)\.0\.pos_encoding\.", r"blocks.\1.attention.rotary."),
        (r"^1\.layers\.(\d+)\.0\.norm\.", r"blocks.\1.attention.norm."),
        (r"^1\.layers\.(\d+)\.0\.to_out\.0\.", r"blocks.\1.attention.out."),
        (r"^1\.layers\.(\d+)\.0\.to_(qkv|gates)\.", r"blocks.\1.attention.\2."),
        (r"^1\.layers\.(\d+)\.1\.net\.", r"blocks.\1.feed_forward."),
    )

    def __init__(self, in_dim: int, hidden: int, num_layers: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.projection = nn.Linear(in_dim, hidden)
        self.blocks = nn.Sequential(*(TransformerBlock(hidden, num_heads, dropout) for _ in range(num_layers)))
        self.norm = RMSNorm(hidden)
        self.out_dim = hidden

    def forward(self, features: Tensor) -> Tensor:
        output: Tensor = self.norm(self.blocks(self.projection(features)))
        return output


@SEQUENCE_HEADS.register("tf")
@dataclass(frozen=True)
class TransformerConfig(SequenceHeadConfig):
    hidden: int = 256
    """Model dimension."""
    num_layers: int = 2
    num_heads: int | None = None
    """Attention heads; none: 8, or 4 where hidden is below 128, as in the released models."""
    dropout: float = 0.2

    def __post_init__(self) -> None:
        require(self.hidden >= 1, "seq.hidden", self.hidden, "1 or more")
        require(self.num_layers >= 1, "seq.num_layers", self.num_layers, "1 or more")
        require(0 <= self.dropout < 1, "seq.dropout", self.dropout, "0 to below 1")
        require(self.heads >= 1, "seq.num_heads", self.heads, "1 or more")
        unit = 2 * self.heads
        nearest = max(1, round(self.hidden / unit)) * unit
        require(self.hidden % unit == 0, "seq.hidden", self.hidden, f"it must be divisible by 2 * seq.num_heads = {unit} (rotary embedding turns pairs); nearest: {nearest}")

    @property
    def heads(self) -> int:
        return self.num_heads if self.num_heads is not None else 4 if self.hidden < 128 else 8

    def build(self, in_dim: int) -> SequenceHead:
        return TransformerHead(in_dim, self.hidden, self.num_layers, self.heads, self.dropout)
