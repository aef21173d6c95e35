"""Transformer blocks with rotary positions and gated heads.

Vaswani et al., "Attention is all you need", NeurIPS 2017 (https://arxiv.org/abs/1706.03762), with rotary embedding (Su
et al. 2021, https://arxiv.org/abs/2104.09864), RMSNorm before each part and at the end, and each attention head scaled
by a gate from its input; as used by Morocutti et al. 2025, section II-B.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from efficient_sed.config.model import SequenceHeadConfig
from efficient_sed.models.contracts import SequenceHead
from efficient_sed.models.sequence.blocks import (
    BlockHead,
    FeedForward,
    GatedAttention,
    require_heads,
    require_layers,
    require_multiple,
)
from efficient_sed.registry import SEQUENCE_HEADS


class TransformerBlock(nn.Module):
    """Gated attention, then feed-forward, each added to its input."""

    def __init__(self, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = GatedAttention(dim, num_heads, dropout)
        self.feed_forward = FeedForward(dim, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Steps (batch, time, dim) to the same shape."""
        attended: Tensor = x + self.attention(x)
        output: Tensor = attended + self.feed_forward(attended)
        return output


class TransformerHead(BlockHead):
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
        super().__init__(in_dim, hidden, num_layers, lambda: TransformerBlock(hidden, num_heads, dropout))


@SEQUENCE_HEADS.register("tf")
@dataclass(frozen=True)
class TransformerConfig(SequenceHeadConfig):
    """Options of this head."""

    hidden: int = 256
    """Model dimension."""
    num_layers: int = 2
    """Number of transformer layers, 1 to 100."""
    num_heads: int | None = None
    """Attention heads, default None: 8, or 4 where hidden is below 128, as in the released models."""
    dropout: float = 0.2
    """Dropout of attention and feed-forward parts, 0 to below 1."""

    def __post_init__(self) -> None:
        require_layers(self.num_layers, self.dropout)
        require_heads(self.heads)
        require_multiple(
            self.hidden, 2 * self.heads, f"2 * seq.num_heads = {2 * self.heads} (rotary embedding turns pairs)"
        )

    @property
    def heads(self) -> int:
        """Attention heads, with the default resolved."""
        return self.num_heads if self.num_heads is not None else 4 if self.hidden < 128 else 8

    def build(self, in_dim: int) -> SequenceHead:
        """The head for features of `in_dim` values."""
        return TransformerHead(in_dim, self.hidden, self.num_layers, self.heads, self.dropout)
