"""Operations that only select or reshape, in the forms that XNNPACK takes: reshapes and slices without a stride."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten


def _slice(x: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Any:
    """One of each `step` is a plain slice of the same tensor with a dimension more."""
    dim %= x.ndim
    size, start = x.shape[dim], start or 0
    if step == 1 or size % step or not 0 <= start < step or (end is not None and end < size):
        return NotImplemented
    pairs = x.reshape(*x.shape[:dim], size // step, step, *x.shape[dim + 1 :])
    return aten.slice.Tensor(pairs, dim + 1, start, start + 1).reshape(*x.shape[:dim], -1, *x.shape[dim + 1 :])


def _select(x: Tensor, dim: int, index: int) -> Any:
    dim, index = dim % x.ndim, index % x.shape[dim]
    return aten.slice.Tensor(x, dim, index, index + 1).reshape(*x.shape[:dim], *x.shape[dim + 1 :])


def _split(x: Tensor, sizes: Sequence[int], dim: int = 0) -> list[Tensor]:
    ends = [sum(sizes[: place + 1]) for place in range(len(sizes))]
    return [aten.slice.Tensor(x, dim, end - size, end) for size, end in zip(sizes, ends, strict=True)]


def _split_evenly(x: Tensor, size: int, dim: int = 0) -> list[Tensor]:
    return _split(x, [min(size, x.shape[dim] - start) for start in range(0, x.shape[dim], size)], dim)


def _stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    dim %= tensors[0].ndim + 1
    return torch.cat([_unsqueeze(x, dim) for x in tensors], dim)


def _unsqueeze(x: Tensor, dim: int) -> Tensor:
    dim %= x.ndim + 1
    return x.reshape(*x.shape[:dim], 1, *x.shape[dim:])


def _squeeze(x: Tensor, dims: int | Sequence[int] | None = None) -> Tensor:
    chosen = range(x.ndim) if dims is None else [dims] if isinstance(dims, int) else dims
    gone = [dim % x.ndim for dim in chosen if x.shape[dim] == 1]
    return x.reshape([size for dim, size in enumerate(x.shape) if dim not in gone])


def _flatten(x: Tensor, first: int = 0, last: int = -1) -> Tensor:
    first, last = first % x.ndim, last % x.ndim
    return x.reshape(*x.shape[:first], -1, *x.shape[last + 1 :])


VIEWS: Mapping[Any, Callable[..., Any]] = {
    aten.slice.Tensor: _slice,
    aten.narrow.default: lambda x, dim, start, length: aten.slice.Tensor(x, dim, start, start + length),
    aten.select.int: _select,
    aten.split_with_sizes.default: _split,
    aten.split.Tensor: _split_evenly,
    aten.chunk.default: lambda x, chunks, dim=0: _split_evenly(x, -(-x.shape[dim] // chunks), dim),
    aten.stack.default: _stack,
    aten.unsqueeze.default: _unsqueeze,
    aten.squeeze.default: _squeeze,
    aten.squeeze.dim: _squeeze,
    aten.squeeze.dims: _squeeze,
    aten.flatten.using_ints: _flatten,
}
"""By operation of PyTorch."""
