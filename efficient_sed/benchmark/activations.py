"""How many values a model's layers pass on: what memory a small board needs, and often what a GPU waits for.

Counted are the layers that have multiply-accumulates, as timm and fvcore do for sums: norms and activation functions
are computed in place or merged. Attention maps are left out, which efficient attention never holds, and so are inputs
of residual connections.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor
from torch.utils._pytree import tree_leaves


class Activations(NamedTuple):
    """Elements, not bytes, of one clip."""

    total: int = 0
    """Of the outputs of all layers."""
    peak: int = 0
    """Of input and output of the layer where they are most."""

    def after(self, inputs: Any, output: Any) -> Activations:
        """The same with one more layer."""
        given, passed_on = _elements(inputs), _elements(output)
        return Activations(self.total + passed_on, max(self.peak, given + passed_on))


def _elements(values: Any) -> int:
    """Elements of the first tensor; behind it stand states and contexts."""
    return next((value.numel() for value in tree_leaves(values) if isinstance(value, Tensor)), 0)
