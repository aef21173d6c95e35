"""Depthwise convolution with a fast gradient of its weight on CPUs.

oneDNN, which PyTorch trains convolutions with, computes that gradient many times slower than its other parts, most of
all for large kernels and without AVX-512; benchmarks/README.md has the figures.
"""

from __future__ import annotations

import functools
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

Pair = tuple[int, ...]
MIN_CHANNELS = 32
"""Below, a position has too few channels to fill vector registers, and oneDNN is as fast."""
KERNELS = (3, 5)


def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, groups: int) -> Tensor:
    """`F.conv2d`; depthwise ones that are trained on a CPU in float32 have the fast gradient.

    Args:
        x: Shape (batch, channels_in, height, width).
        weight: Shape (channels_out, channels_in / groups, kernel, kernel).
        bias: Shape (channels_out,), or None.
        stride: Of height and width.
        padding: Of height and width.
        groups: The number of channels for a depthwise convolution.
    """
    kernel = weight.shape[-1]
    is_fast = (
        x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and weight.requires_grad
        and torch.is_grad_enabled()
        and groups == len(weight) == x.shape[1] >= MIN_CHANNELS
        and weight.shape[-2] == kernel
        and kernel in KERNELS
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )
    if is_fast:
        output: Tensor = _DepthwiseConv2d.apply(x, weight, bias, stride, padding)  # type: ignore[no-untyped-call]
        return output
    return F.conv2d(x, weight, bias, stride, padding, groups=groups)


class _DepthwiseConv2d(torch.autograd.Function):
    """All by PyTorch but for the gradient of the weight."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair) -> Tensor:
        """See `conv2d`."""
        x = x.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, bias, stride, padding, groups=len(weight))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of input, weight and bias."""
        x, weight = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        for_x, for_bias = ctx.needs_input_grad[0], ctx.needs_input_grad[2]
        of_x, _, of_bias = torch.ops.aten.convolution_backward(
            gradient, x, weight, [len(weight)] if for_bias else None, ctx.stride, ctx.padding, (1, 1), False, (0, 0),
            len(weight), (for_x, False, False),
        ) if for_x else (None, None, None)  # fmt: skip
        of_weight = weight_gradient(x, gradient, weight.shape[-1], ctx.stride, ctx.padding)
        return of_x, of_weight, gradient.sum((0, 2, 3)) if for_bias else of_bias, None, None


def weight_gradient(x: Tensor, gradient: Tensor, kernel: int, stride: Pair, padding: Pair) -> Tensor:
    """Gradient of a depthwise convolution's weight, shape (channels, 1, kernel, kernel).

    The clips of a batch are divided among as many threads as PyTorch uses.

    Args:
        x: Input, shape (batch, channels, height, width), float32 in channels_last.
        gradient: Of the output, shape (batch, channels, height', width'), likewise.
        kernel: 3 or 5.
        stride: Of height and width.
        padding: Of height and width.
    """
    from efficient_sed.models._depthwise_loops import accumulate  # numba, which only a training needs

    rows, row_gradients = x.permute(0, 2, 3, 1).numpy(), gradient.permute(0, 2, 3, 1).numpy()
    num_threads = min(torch.get_num_threads(), len(x))
    sums = np.zeros((num_threads, kernel, kernel, x.shape[1]), np.float32)
    bounds = [len(x) * index // num_threads for index in range(num_threads + 1)]

    def work(index: int) -> None:
        part = slice(bounds[index], bounds[index + 1])
        accumulate(rows[part], row_gradients[part], sums[index], tuple(range(kernel)), stride, padding)

    others = [_threads().submit(work, index) for index in range(1, num_threads)]
    work(0)
    for other in others:
        other.result()
    return torch.from_numpy(sums.sum(0)).permute(2, 0, 1).unsqueeze(1)


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="depthwise")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_threads.cache_clear)  # the parent's threads do not go on in a child
