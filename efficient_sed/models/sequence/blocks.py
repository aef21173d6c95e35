"""What several heads are built of: projection, norms, rotary positions, gated attention, feed-forward.

Zhang and Sennrich, "Root mean square layer normalization", NeurIPS 2019 (https://arxiv.org/abs/1910.07467); Su et al.,
"RoFormer", 2021 (https://arxiv.org/abs/2104.09864); put together as in Morocutti et al. 2025, section II-B.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from efficient_sed.config.model import MAX_HIDDEN
from efficient_sed.errors import require
from efficient_sed.models.contracts import SequenceHead
from efficient_sed.models.dropout import Dropout, attend, dropout

MAX_LAYERS, MAX_HEADS = 100, 256


def input_projection(in_dim: int, hidden: int) -> nn.Module:
    """The linear layer between backbone and head, or nothing where the sizes agree."""
    return nn.Linear(in_dim, hidden) if in_dim != hidden else nn.Identity()


def require_layers(num_layers: int, dropout: float = 0.0) -> None:
    """Raise a ConfigError unless there is a layer, not a tower, and the dropout is a share."""
    require(1 <= num_layers <= MAX_LAYERS, "seq.num_layers", num_layers, f"1 to {MAX_LAYERS}")
    require(0 <= dropout < 1, "seq.dropout", dropout, "0 to below 1")


def require_heads(num_heads: int) -> None:
    """Raise a ConfigError unless there is a head of attention, and not hundreds."""
    require(1 <= num_heads <= MAX_HEADS, "seq.num_heads", num_heads, f"1 to {MAX_HEADS}")


def require_size(key: str, size: int, least: int = 1, why: str = "") -> None:
    """Raise a ConfigError unless a layer has at least `least` features, and at most MAX_HIDDEN."""
    require(least <= size <= MAX_HIDDEN, key, size, f"{least} to {MAX_HIDDEN}{why}")


def require_multiple(hidden: int, unit: int, why: str) -> None:
    """Raise a ConfigError that names the nearest allowed size, unless `hidden` is a multiple of `unit`."""
    require(hidden <= MAX_HIDDEN, "seq.hidden", hidden, f"at most {MAX_HIDDEN}")
    nearest = min(max(1, round(hidden / unit)), MAX_HIDDEN // unit) * unit
    require(
        hidden >= 1 and hidden % unit == 0, "seq.hidden", hidden, f"it must be divisible by {why}; nearest: {nearest}"
    )


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """(batch, time, dim) -> (batch, heads, time, dim / heads)."""
    return x.reshape(*x.shape[:2], num_heads, -1).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(batch, heads, time, head_dim) -> (batch, time, heads * head_dim)."""
    return x.transpose(1, 2).flatten(2)


def attention_macs(steps: int, dim: int) -> int:
    """Multiply-accumulates of the attention of all steps to all: queries by keys, and weights by values."""
    return 2 * steps * steps * dim


class BlockHead(SequenceHead):
    """Projection, blocks, norm: features (batch, time, in_dim) -> (batch, time, hidden).

    Args:
        in_dim: Values of a step.
        hidden: Model dimension.
        num_layers: Number of blocks.
        block: Makes a block, (batch, time, hidden) to the same shape.
    """

    def __init__(self, in_dim: int, hidden: int, num_layers: int, block: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.projection = input_projection(in_dim, hidden)
        self.blocks = nn.Sequential(*(block() for _ in range(num_layers)))
        self.norm = RMSNorm(hidden)
        self.out_dim = hidden

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, time, in_dim) to (batch, time, out_dim)."""
        output: Tensor = self.norm(self.blocks(self.projection(features)))
        return output


class RMSNorm(nn.Module):
    """x / ||x|| * sqrt(dim) * gamma."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x, shape (..., dim)."""
        wide = x.to(
            torch.promote_types(x.dtype, torch.float32)
        )  # float16 loses small sums of squares and overflows on large ones
        return (F.normalize(wide, dim=-1) * (math.sqrt(x.shape[-1]) * self.gamma)).to(x.dtype)

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        """See `contracts.CountsMacs`."""
        return 0


class RotaryEmbedding(nn.Module):
    """Rotates neighbouring pairs of features by an angle that grows with time.

    The released files store the fixed frequencies as parameters.
    """

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        self.freqs = nn.Parameter(10000.0 ** (-torch.arange(0, head_dim, 2) / head_dim), requires_grad=False)

    def forward(self, *tensors: Tensor) -> list[Tensor]:
        """Rotate tensors that share the shape (..., time, head_dim)."""
        x = tensors[0]
        time = torch.arange(x.shape[-2], device=x.device, dtype=torch.float32)
        angle = time[:, None] * self.freqs.float()  # (T, head_dim / 2)
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        pairs = ((x[..., 0::2], x[..., 1::2]) for x in tensors)
        return [
            torch.stack((even * cos - odd * sin, odd * cos + even * sin), dim=-1).flatten(-2) for even, odd in pairs
        ]

    def fused(self) -> nn.Module:
        """See `fuse.Fusible`."""
        return FusedRotaryEmbedding(self)

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        """See `contracts.CountsMacs`."""
        return 0


class FusedRotaryEmbedding(nn.Module):
    """The same as one complex product with a table that is made once.

    Whatever is not float32, and exports, take the other way.
    """

    def __init__(self, rotary: RotaryEmbedding) -> None:
        super().__init__()
        self.rotary = rotary
        self.table = torch.empty(
            0, 0, dtype=torch.complex64
        )  # (time, head_dim / 2), grows with the longest input; no buffer, so that half() spares it

    def forward(self, *tensors: Tensor) -> list[Tensor]:
        """Rotate tensors that share the shape (..., time, head_dim)."""
        x = tensors[0]
        if x.dtype != torch.float32 or torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export():
            output: list[Tensor] = self.rotary(*tensors)
            return output
        T = x.shape[-2]
        if len(self.table) < T or self.table.device != x.device:
            angle = torch.arange(T, device=x.device)[:, None] * self.rotary.freqs.float()
            self.table = torch.polar(torch.ones_like(angle), angle)
        return [
            torch.view_as_real(torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2)) * self.table[:T]).flatten(-2)
            for x in tensors
        ]


class GatedAttention(nn.Module):
    """Multi-head self-attention over all steps.

    Each head's output is scaled by a sigmoid gate of the normalised input.
    """

    def __init__(self, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads, self.dropout = num_heads, dropout
        self.norm = RMSNorm(dim)
        self.rotary = RotaryEmbedding(dim // num_heads)
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.gates = nn.Linear(dim, num_heads)
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Steps (batch, time, dim) to the same shape."""
        x = self.norm(x)
        q, k, v = (
            split_heads(part, self.num_heads) for part in self.qkv(x).chunk(3, dim=-1)
        )  # each (B, heads, T, head_dim)
        q, k = self.rotary(q, k)
        attended = attend(q, k, v, self.dropout if self.training else 0.0)
        gated = attended * self.gates(x).sigmoid().transpose(1, 2).unsqueeze(-1)
        return dropout(self.out(merge_heads(gated)), self.dropout, self.training)

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        """See `contracts.CountsMacs`: queries by keys, and weights by values."""
        return attention_macs(inputs[0].shape[1], inputs[0].shape[2])


class FeedForward(nn.Sequential):
    """Two layers on each step, four times as wide between them."""

    def __init__(self, dim: int, rate: float) -> None:
        super().__init__(
            RMSNorm(dim),
            nn.Linear(dim, 4 * dim),
            nn.GELU(),
            Dropout(rate),
            nn.Linear(4 * dim, dim),
            Dropout(rate),
        )
