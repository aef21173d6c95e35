"""GRU straight on the backbone's features, in both directions or in one.

Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine translation", EMNLP 2014
(https://arxiv.org/abs/1406.1078). `gru` is the bidirectional one of Morocutti et al. 2025, section II-B: no input
projection, output of both directions. `causalgru` is the same one way, so that it can run on a stream; it is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from efficient_sed.config.model import SequenceHeadConfig
from efficient_sed.models.contracts import CausalHead, SequenceHead, State
from efficient_sed.models.dropout import Dropout
from efficient_sed.models.sequence.blocks import require_layers, require_size
from efficient_sed.registry import SEQUENCE_HEADS


def _run(gru: nn.GRU, features: Tensor, initial: Tensor | None) -> tuple[Tensor, Tensor]:
    """Run a GRU, under autocast on a CPU or MPS in the precision of its weights.

    On a CPU autocast halves its speed, and MPS has no half-precision GRU.
    """
    device = features.device.type
    if device in ("cpu", "mps") and torch.is_autocast_enabled(device):
        with torch.autocast(device, enabled=False):
            precision = next(gru.parameters()).dtype
            output, last = gru(features.to(precision), None if initial is None else initial.to(precision))
    else:
        output, last = gru(features, initial)
    return output, last


class GruHead(SequenceHead):
    """Features (batch, time, in_dim) -> (batch, time, 2 * hidden)."""

    RELEASED_NAMES = ((r"^0\.gru\.", "gru."),)

    def __init__(self, in_dim: int, hidden: int, num_layers: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.gru = nn.GRU(in_dim, hidden, num_layers, batch_first=True, bidirectional=True)
        self.dropout = Dropout(dropout)
        self.out_dim = 2 * hidden

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, time, in_dim) to (batch, time, out_dim)."""
        output: Tensor = self.dropout(_run(self.gru, features, None)[0])
        return output


class CausalGruHead(CausalHead):
    """Features (batch, time, in_dim) -> (batch, time, hidden). State: one (batch, num_layers, hidden)."""

    def __init__(self, in_dim: int, hidden: int, num_layers: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.gru = nn.GRU(in_dim, hidden, num_layers, batch_first=True)
        self.dropout = Dropout(dropout)
        self.out_dim = hidden

    def stream(self, features: Tensor, state: State | None) -> tuple[Tensor, State]:
        """See `contracts.CausalHead`."""
        initial = None if state is None else state[0].transpose(0, 1).contiguous()
        output, last = _run(self.gru, features, initial)
        return self.dropout(output), (last.transpose(0, 1),)


@SEQUENCE_HEADS.register_family({"gru": {"head": GruHead}, "causalgru": {"head": CausalGruHead}})
@dataclass(frozen=True)
class GruConfig(SequenceHeadConfig):
    """Recurrent layers on the backbone's features."""

    head: ClassVar[type[GruHead | CausalGruHead]]

    hidden: int = 256
    """State size, of each direction."""
    num_layers: int = 2
    """Number of recurrent layers, 1 to 100."""
    dropout: float = 0.0
    """Share of the output's values dropped in training, 0 to below 1."""

    def __post_init__(self) -> None:
        require_size("seq.hidden", self.hidden)
        require_layers(self.num_layers, self.dropout)

    def build(self, in_dim: int) -> SequenceHead:
        """The head for features of `in_dim` values."""
        return self.head(in_dim, self.hidden, self.num_layers, self.dropout)
