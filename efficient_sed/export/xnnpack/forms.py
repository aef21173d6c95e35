"""Operations in forms that XNNPACK takes, so that a graph is lowered in one piece.

XNNPACK has no mean but that over a whole image, no sum, no strided slice, no cumulated sum and no broadcast copy; each
of these is written with what it has, such as a product with a constant. What only depends on shapes and weights, such
as rotary tables, is computed once. ExecuTorch's partitioner leaves reshapes to slow kernels unless it is told to take
them, see `lowered`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.nn import functional as F

from efficient_sed.export.xnnpack.views import VIEWS

aten = torch.ops.aten
BROADCASTING = {
    aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor, aten.minimum.default, aten.maximum.default,
}  # fmt: skip


def in_forms(program: ExportedProgram) -> ExportedProgram:
    """A graph for one shape of input in the forms of this file, constants folded."""
    from executorch.exir.passes.constant_prop_pass import constant_prop_pass

    program = program.run_decompositions(FORMS)
    kept = {node.target for node in program.graph.nodes if "quantized_decomposed" in str(node.target)}
    program = constant_prop_pass(program, kept)  # but the weights in int8 stay as they are
    graph = program.graph_module.graph
    for node in list(graph.nodes):
        if node.target is aten.expand.default and all(user.target in BROADCASTING for user in node.users):
            node.replace_all_uses_with(node.args[0])  # they broadcast by themselves
            graph.erase_node(node)
    program.graph_module.recompile()
    return program


def _weighted_sum(x: Tensor, dims: Sequence[int], keepdim: bool, weight: float | None) -> Tensor:
    """Over some dimensions, as a product with a constant; the default weight gives the mean."""
    dims = sorted(dim % x.ndim for dim in dims)
    rest = [dim for dim in range(x.ndim) if dim not in dims]
    count = math.prod(x.shape[dim] for dim in dims)
    rows = x.permute(*rest, *dims).reshape(-1, count)
    total = F.linear(rows, torch.full((1, count), 1 / count if weight is None else weight))
    kept = [1 if dim in dims else size for dim, size in enumerate(x.shape)]
    return total.reshape(kept if keepdim else [x.shape[dim] for dim in rest])


def _mean(x: Tensor, dims: Sequence[int], keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Any:
    if x.ndim != 4 or {dim % 4 for dim in dims} != {2, 3}:
        return _weighted_sum(x, dims, keepdim, None)
    if keepdim and list(dims) == [-1, -2]:
        return NotImplemented  # it is in the one form that XNNPACK has
    mean: Tensor = aten.mean.dim(x, [-1, -2], True)
    return mean if keepdim else mean.reshape(x.shape[:2])


def _sum(x: Tensor, dims: Sequence[int], keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Tensor:
    return _weighted_sum(x, dims, keepdim, 1.0)


def _norm(x: Tensor, order: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    return _sum(x * x, dim, keepdim).sqrt() if order == 2 and dim is not None else NotImplemented


def _power(x: Tensor, exponent: float) -> Any:
    if exponent == 2:
        return x * x
    return x.sqrt() if exponent == 0.5 else x.rsqrt() if exponent == -0.5 else NotImplemented


def _layer_norm(
    x: Tensor, shape: Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5,
    cudnn: bool = False,
) -> Tensor:  # fmt: skip
    dims = list(range(-len(shape), 0))
    centred = x - _mean(x, dims, True)
    normed = centred * (_mean(centred * centred, dims, True) + eps).rsqrt()
    scaled: Tensor = normed if weight is None else normed * weight
    return scaled if bias is None else scaled + bias


def _attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, rate: float = 0.0, is_causal: bool = False, *,
    scale: float | None = None, enable_gqa: bool = False,
) -> Any:  # fmt: skip
    if mask is not None or is_causal or enable_gqa:
        return NotImplemented
    queries, keys, values = (x.reshape(-1, *x.shape[-2:]) for x in (q, k, v))
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    weights = torch.bmm(queries * scale, keys.transpose(1, 2)).softmax(-1)
    return torch.bmm(weights, values).reshape(v.shape)


def _matmul(a: Tensor, b: Tensor) -> Any:
    if min(a.ndim, b.ndim) < 3 or a.shape[:-2] != b.shape[:-2]:
        return NotImplemented
    product = torch.bmm(a.reshape(-1, *a.shape[-2:]), b.reshape(-1, *b.shape[-2:]))
    return product.reshape(*a.shape[:-1], b.shape[-1])


def _times_constant(x: Tensor, dim: int, matrix: Callable[[int], Tensor]) -> Tensor:
    rows = x.transpose(dim, -1)
    return F.linear(rows, matrix(rows.shape[-1])).transpose(dim, -1)


def _reversed_identity(size: int) -> Tensor:
    place = torch.arange(size)
    return (place[:, None] + place == size - 1).float()


def _flip(x: Tensor, dims: Sequence[int]) -> Tensor:
    for dim in dims:
        x = _times_constant(x, dim, _reversed_identity)
    return x


def _masked_fill(x: Tensor, mask: Tensor, value: float) -> Any:
    if value != -math.inf:
        return NotImplemented
    return torch.minimum(x, torch.where(mask, torch.full((), -math.inf), torch.full((), math.inf)))


FORMS: Mapping[Any, Callable[..., Any]] = {
    **VIEWS,
    aten.mean.dim: _mean,
    aten.sum.dim_IntList: _sum,
    aten.linalg_vector_norm.default: _norm,
    aten.layer_norm.default: _layer_norm,
    aten.pow.Tensor_Scalar: _power,
    aten.scaled_dot_product_attention.default: _attention,
    aten.matmul.default: _matmul,
    aten.flip.default: _flip,
    aten.cumsum.default: lambda x, dim, dtype=None: _times_constant(x, dim, lambda n: torch.ones(n, n).tril()),
    aten.masked_fill.Scalar: _masked_fill,
    aten.softplus.default: lambda x: x.relu() + ((-x.abs()).exp() + 1).log(),
    aten.silu.default: lambda x: x * x.sigmoid(),
    aten.clamp_min.default: aten.clamp.default,
    aten.zeros_like.default: lambda x, **_: torch.full(x.shape, 0.0),
}
"""By operation of PyTorch; a form that is none for its arguments leaves the operation as it is."""
