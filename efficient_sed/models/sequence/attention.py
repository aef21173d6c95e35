"""Gated attention blocks alone.

The attention of the transformer head without its feed-forward parts, without dropout and without a final norm, as used
by Morocutti et al. 2025, section II-B (https://arxiv.org/abs/2503.11373).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from efficient_sed.config.model import SequenceHeadConfig
from efficient_sed.models.contracts import SequenceHead
from efficient_sed.models.sequence.blocks import (
    GatedAttention,
    input_projection,
    require_heads,
    require_layers,
    require_multiple,
)
from efficient_sed.registry import SEQUENCE_HEADS


class AttentionHead(SequenceHead):
    """Features (batch, time, in_dim) -> (batch, time, hidden)."""

    RELEASED_NAMES = (
        (r"^0\.", "projection."),
        (r"^1\.layers\.(\d+)\.pos_encoding\.", r"blocks.\1.rotary."),
        (r"^1\.layers\.(\d+)\.norm\.", r"blocks.\1.norm."),
        (r"^1\.layers\.(\d+)\.to_out\.0\.", r"blocks.\1.out."),
        (r"^1\.layers\.(\d+)\.to_(qkv|gates)\.", r"blocks.\1.\2."),
    )

    def __init__(self, in_dim: int, hidden: int, num_layers: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.projection = input_projection(in_dim, hidden)
        self.blocks = nn.ModuleList(GatedAttention(hidden, num_heads, dropout) for _ in range(num_layers))
        self.out_dim = hidden

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, time, in_dim) to (batch, time, out_dim)."""
        x: Tensor = self.projection(features)
        for attention in self.blocks:
            x = x + attention(x)
        return x


@SEQUENCE_HEADS.register("attn")
@dataclass(frozen=True)
class AttentionConfig(SequenceHeadConfig):
    """Options of this head."""

    hidden: int = 256
    """Model dimension."""
    num_layers: int = 2
    """Number of attention layers, 1 to 100."""
    num_heads: int = 8
    """Attention heads of each layer, 1 to 256."""
    dropout: float = 0.0
    """Dropout of the attention weights and of the layers' outputs, 0 to below 1."""

    def __post_init__(self) -> None:
        require_layers(self.num_layers, self.dropout)
        require_heads(self.num_heads)
        require_multiple(
            self.hidden, 2 * self.num_heads, f"2 * seq.num_heads = {2 * self.num_heads} (rotary embedding turns pairs)"
        )

    def build(self, in_dim: int) -> SequenceHead:
        """The head for features of `in_dim` values."""
        return AttentionHead(in_dim, self.hidden, self.num_layers, self.num_heads, self.dropout)
