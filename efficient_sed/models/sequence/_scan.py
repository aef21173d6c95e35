"""The first-order linear recurrence h_t = a_t h_{t-1} + b_t over a whole sequence.

In linear space: with a in (0, 1) nothing can overflow and nothing is lost, while the usual log-space form (Heinsen
2023, https://arxiv.org/abs/2311.06281) subtracts large cumulated logarithms. `chunked_scan` computes; `doubling_scan`
(Hillis and Steele 1986) and `blockwise_scan` are the same for exporters: few operations, of which none writes into a
tensor.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK = 16  # steps of `blockwise_scan` that follow each other


def linear_scan(decay: Tensor, value: Tensor, initial: Tensor | None = None) -> Tensor:
    """h_t = decay_t * h_{t-1} + value_t, computed in float32 or better.

    Args:
        decay: Shape (batch, time, dim), in [0, 1].
        value: Same shape.
        initial: State before the first step, shape (batch, dim), default None: zero.

    Returns:
        All states, same shape, in float32 or better.
    """
    precision = torch.promote_types(value.dtype, torch.float32)
    decay, value = decay.to(precision), value.to(precision)
    initial = torch.zeros_like(value[:, 0]) if initial is None else initial.to(precision)
    if torch.onnx.is_in_onnx_export():
        return blockwise_scan(decay, value, initial)
    if torch.compiler.is_exporting():
        return doubling_scan(decay, value, initial)
    states: Tensor = _ChunkedScan.apply(decay, value, initial)  # type: ignore[no-untyped-call]
    return states


def doubling_scan(decay: Tensor, value: Tensor, initial: Tensor) -> Tensor:
    """`linear_scan` by log2(time) steps, each of which joins neighbours twice as far apart."""
    value = torch.cat([value[:, :1] + decay[:, :1] * initial[:, None], value[:, 1:]], dim=1)
    return _scripted_doubling()(decay, value) if torch.onnx.is_in_onnx_export() else _double(decay, value)


def _double(decay: Tensor, value: Tensor) -> Tensor:
    """From zero."""
    T, reach = value.shape[1], 1
    while reach < T:
        shift = [0, 0, reach, 0]
        value = value + decay * F.pad(value, shift)[:, :T]
        decay = decay * F.pad(decay, shift)[:, :T]
        reach = 2 * reach
    return value


@cache
def _scripted_doubling() -> Callable[[Tensor, Tensor], Tensor]:
    """`_double` with its loop as it is written: a traced one would hold for one length."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.script` is", category=DeprecationWarning)
        scripted: Callable[[Tensor, Tensor], Tensor] = torch.jit.script(_double)
    return scripted


def blockwise_scan(decay: Tensor, value: Tensor, initial: Tensor) -> Tensor:
    """`linear_scan` for onnxruntime, in a third of the time of `doubling_scan`.

    In all blocks at once to their ends, over the ends, and from there through the blocks again.
    """
    B, T, D = value.shape
    decays, values = (F.pad(x, (0, 0, 0, -T % BLOCK)).reshape(B, -1, BLOCK, D).unbind(2) for x in (decay, value))
    state, reach = values[0], decays[0]
    for a, b in zip(decays[1:], values[1:], strict=True):
        state, reach = b + a * state, reach * a
    state = torch.cat([initial[:, None], doubling_scan(reach, state, initial)[:, :-1]], dim=1)  # before each block
    states = []
    for a, b in zip(decays, values, strict=True):
        state = b + a * state
        states.append(state)
    return torch.stack(states, dim=2).reshape(B, -1, D)[:, :T]


class _ChunkedScan(torch.autograd.Function):
    """The gradient is the same recurrence run backwards, so only decays and states are kept."""

    @staticmethod
    def forward(ctx: Any, decay: Tensor, value: Tensor, initial: Tensor) -> Tensor:
        states = chunked_scan(decay, value, initial)
        ctx.save_for_backward(decay, states, initial)
        return states

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        decay, states, initial = ctx.saved_tensors
        decay_after = F.pad(decay[:, 1:], (0, 0, 0, 1))  # of the step that comes after
        grad_value = chunked_scan(decay_after, grad_states, torch.zeros_like(initial), is_reversed=True)
        grad_decay = torch.empty_like(decay)
        torch.mul(grad_value[:, 1:], states[:, :-1], out=grad_decay[:, 1:])
        torch.mul(grad_value[:, 0], initial, out=grad_decay[:, 0])
        return grad_decay, grad_value, grad_value[:, 0] * decay[:, 0]


def chunked_scan(decay: Tensor, value: Tensor, initial: Tensor, *, is_reversed: bool = False) -> Tensor:
    """`linear_scan`, or from the last step to the first: step by step in all chunks at once, then chunk by chunk.

    Takes 2 * chunk + time / chunk vectorised operations; not differentiable.
    """
    B, T, D = value.shape
    chunk = (
        min(range(8, 129), key=lambda size: 2 * size + -(-T // size) + (4 if T % size else 0)) if T > 24 else T
    )  # padding costs copies
    padding = (0, 0, -T % chunk, 0) if is_reversed else (0, 0, 0, -T % chunk)
    decay, value = (F.pad(x, padding) if any(padding) else x for x in (decay, value))
    decay, value = (x.reshape(B, -1, chunk, D) for x in (decay, value))
    states, reach = (
        torch.empty_like(value),
        torch.empty_like(decay),
    )  # reach: product of the decays since the chunk's start
    step = -1 if is_reversed else 1
    order = range(chunk)[::step]
    states[:, :, order[0]], reach[:, :, order[0]] = value[:, :, order[0]], decay[:, :, order[0]]
    for before, now in itertools.pairwise(order):
        torch.addcmul(value[:, :, now], decay[:, :, now], states[:, :, before], out=states[:, :, now])
        torch.mul(reach[:, :, before], decay[:, :, now], out=reach[:, :, now])
    carry = initial
    for index in range(states.shape[1])[::step]:
        states[:, index].addcmul_(reach[:, index], carry[:, None])
        carry = states[:, index, order[-1]]
    states = states.reshape(B, -1, D)
    return states[:, -T:] if is_reversed else states[:, :T]
