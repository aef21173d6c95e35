"""Minimal GRU: gates that do not look at the state, so that all steps are computed by one scan.

Feng et al., "Were RNNs all we needed?", 2024 (https://arxiv.org/abs/2410.01201), section 3.1, as used in the hybrid
head of Morocutti et al. 2025. `mingru` is ours: one direction alone, between the norms and feed-forward parts of the
hybrid head, for streams.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from efficient_sed.config.model import SequenceHeadConfig
from efficient_sed.models.contracts import CausalHead, SequenceHead, State
from efficient_sed.models.sequence._scan import linear_scan
from efficient_sed.models.sequence.blocks import FeedForward, RMSNorm, input_projection, require_layers, require_size
from efficient_sed.registry import SEQUENCE_HEADS


def mingru_states(hidden_and_gate: Tensor, initial: Tensor | None = None) -> Tensor:
    """States of the minGRU: h_t = (1 - z_t) h_{t-1} + z_t g(hidden_t).

    z = sigmoid(gate), and g(v) = v + 0.5 for v >= 0, else sigmoid(v).

    Args:
        hidden_and_gate: Both pre-activations, shape (batch, time, 2 * dim).
        initial: State before the first step, shape (batch, dim), default None: zero.

    Returns:
        Shape (batch, time, dim), float32 or better.
    """
    hidden, gate = hidden_and_gate.to(torch.promote_types(hidden_and_gate.dtype, torch.float32)).chunk(2, dim=-1)
    update = gate.sigmoid()
    positive = hidden.relu()
    candidate = positive + (hidden - positive).sigmoid()  # g without a branch
    return linear_scan(1 - update, update * candidate, initial)


class MinGruBlock(nn.Module):
    """x + minGRU(norm(x)), then x + feed-forward(norm(x))."""

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.norm = RMSNorm(dim)
        self.cell = nn.Linear(dim, 2 * dim, bias=False)
        self.feed_forward = FeedForward(dim, dropout)

    def forward(self, x: Tensor, initial: Tensor | None) -> tuple[Tensor, Tensor]:
        """Output and the last state (batch, dim)."""
        states = mingru_states(self.cell(self.norm(x)), initial)
        x = x + states.to(x.dtype)
        return x + self.feed_forward(x), states[:, -1].clone()  # a view would keep the whole chunk


class MinGruHead(CausalHead):
    """Features (batch, time, in_dim) -> (batch, time, hidden). State: for each layer (batch, hidden)."""

    def __init__(self, in_dim: int, hidden: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        self.projection = input_projection(in_dim, hidden)
        self.blocks = nn.ModuleList(MinGruBlock(hidden, dropout) for _ in range(num_layers))
        self.norm = RMSNorm(hidden)
        self.out_dim = hidden

    def stream(self, features: Tensor, state: State | None) -> tuple[Tensor, State]:
        """See `contracts.CausalHead`."""
        x = self.projection(features)
        new_state = []
        for index, block in enumerate(self.blocks):
            x, last = block(x, None if state is None else state[index])
            new_state.append(last)
        return self.norm(x), tuple(new_state)


@SEQUENCE_HEADS.register("mingru")
@dataclass(frozen=True)
class MinGruConfig(SequenceHeadConfig):
    """Options of this head."""

    hidden: int = 256
    """Model dimension and state size."""
    num_layers: int = 2
    """Number of blocks, 1 to 100."""
    dropout: float = 0.0
    """Dropout of the feed-forward parts, 0 to below 1."""

    def __post_init__(self) -> None:
        require_size("seq.hidden", self.hidden)
        require_layers(self.num_layers, self.dropout)

    def build(self, in_dim: int) -> SequenceHead:
        """The head for features of `in_dim` values."""
        return MinGruHead(in_dim, self.hidden, self.num_layers, self.dropout)
