"""No sequence model: the classifier reads the backbone's steps as they are."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from efficient_sed.config.model import SequenceHeadConfig
from efficient_sed.models.contracts import CausalHead, SequenceHead, State
from efficient_sed.registry import SEQUENCE_HEADS


class IdentityHead(CausalHead):
    """Features (batch, time, in_dim) as they are."""

    def __init__(self, in_dim: int) -> None:
        super().__init__()
        self.out_dim = in_dim

    def stream(self, features: Tensor, state: State | None) -> tuple[Tensor, State]:
        """See `contracts.CausalHead`."""
        return features, ()


@SEQUENCE_HEADS.register("none")
@dataclass(frozen=True)
class IdentityConfig(SequenceHeadConfig):
    """Options of this head."""

    def build(self, in_dim: int) -> SequenceHead:
        """The head for features of `in_dim` values."""
        return IdentityHead(in_dim)
