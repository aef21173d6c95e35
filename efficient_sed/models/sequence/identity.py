"""No sequence model: the classifier reads the backbone's steps as they are."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from efficient_sed.config.schema import SequenceHeadConfig
from efficient_sed.models.contracts import SequenceHead
from efficient_sed.registry import SEQUENCE_HEADS


class IdentityHead(SequenceHead):
    is_causal = True

    def __init__(self, in_dim: int) -> None:
        super().__init__()
        self.out_dim = in_dim

    def forward(self, features: Tensor) -> Tensor:
        return features


@SEQUENCE_HEADS.register("none")
@dataclass(frozen=True)
class IdentityConfig(SequenceHeadConfig):
    def build(self, in_dim: int) -> SequenceHead:
        return IdentityHead(in_dim)
