"""The selective state-space recurrence of Mamba-2 over a whole sequence.

Dao and Gu, "Transformers are SSMs", ICML 2024 (https://arxiv.org/abs/2405.21060), section 6: within chunks as masked
matrix products, between chunks as a recurrence of their states. In plain PyTorch, so that it runs anywhere; with a GPU
and the package mamba_ssm, by its kernels.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from efficient_sed.models.sequence._scan import doubling_scan

logger = logging.getLogger(__name__)
CHUNK_CPU, CHUNK_GPU = 50, 128  # a 10 s clip is 250 steps; a GPU prefers fewer, larger products


def selective_scan(
    x: Tensor, dt: Tensor, rate: Tensor, B: Tensor, C: Tensor, initial: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """S_t = exp(dt_t rate) S_{t-1} + dt_t x_t B_t^T and y_t = S_t C_t.

    Args:
        x: Shape (batch, time, heads, head_dim), float32 or better.
        dt: Step sizes, shape (batch, time, heads), positive.
        rate: Shape (heads,), negative.
        B: Shape (batch, time, state_dim); shared by the heads.
        C: Same shape.
        initial: S before the first step, shape (batch, heads, head_dim, state_dim), default None: zero.

    Returns:
        y, shaped like x, and the last S.
    """
    if x.is_cuda and has_kernels():
        return _by_kernels(x, dt, rate, B, C, initial)
    return chunked_selective_scan(x, dt, rate, B, C, initial, CHUNK_GPU if x.is_cuda else CHUNK_CPU)


def chunked_selective_scan(
    x: Tensor, dt: Tensor, rate: Tensor, B: Tensor, C: Tensor, initial: Tensor | None, chunk: int
) -> tuple[Tensor, Tensor]:
    """`selective_scan` in plain PyTorch, `chunk` steps at a time."""
    T = x.shape[1]
    is_exported = torch.onnx.is_in_onnx_export()  # an export holds for any time
    chunk = chunk if is_exported else min(chunk, T)
    padding = -T % chunk
    if is_exported or padding:  # a step of size zero leaves the state as it is
        x, dt, B, C = (F.pad(value, (0, 0) * (value.ndim - 2) + (0, padding)) for value in (x, dt, B, C))
    moved, cumulated, B, C = (
        value.reshape(x.shape[0], -1, chunk, *value.shape[2:]) for value in (x * dt.unsqueeze(-1), dt * rate, B, C)
    )
    moved = moved.transpose(2, 3)  # (batch, chunks, heads, Q, head_dim)
    cumulated = cumulated.transpose(2, 3).cumsum(
        -1
    )  # log of the decay since the chunk's start: (batch, chunks, heads, Q)
    B, C = B.unsqueeze(2), C.unsqueeze(2)  # (batch, chunks, 1, Q, state_dim)

    is_future = torch.ones(chunk, chunk, dtype=torch.bool, device=x.device).triu(1)
    between = (
        (cumulated.unsqueeze(-1) - cumulated.unsqueeze(-2)).masked_fill(is_future, -torch.inf).exp()
    )  # masked before exp: its gradient stays finite
    y = (C @ B.transpose(-1, -2) * between) @ moved

    to_end = (cumulated[..., -1:] - cumulated).exp().unsqueeze(-1)
    added = (moved * to_end).transpose(
        -1, -2
    ) @ B  # what each chunk adds to the state: (batch, chunks, heads, head_dim, state_dim)
    decay = cumulated[..., -1].exp()[..., None, None]
    state = torch.zeros_like(added[:, 0]) if initial is None else initial
    if is_exported:
        flat = (decay.expand_as(added).flatten(2), added.flatten(2), state.flatten(1))
        after = doubling_scan(*flat).view_as(added)
        before, state = torch.cat([state[:, None], after[:, :-1]], dim=1), after[:, -1]
    else:
        states = [state]
        for index in range(added.shape[1]):
            states.append(states[-1] * decay[:, index] + added[:, index])
        before, state = torch.stack(states[:-1], dim=1), states[-1]
    y = y + (C @ before.transpose(-1, -2)) * cumulated.exp().unsqueeze(-1)
    return y.transpose(2, 3).flatten(1, 2)[:, :T], state


@cache
def has_kernels() -> bool:
    """Whether the package mamba_ssm is installed and can be imported; a warning says once if it cannot."""
    if importlib.util.find_spec("mamba_ssm") is None:
        return False
    try:
        importlib.import_module("mamba_ssm.ops.triton.ssd_combined")
    except ImportError as error:
        logger.warning("mamba_ssm is installed but cannot be imported (%s); Mamba runs in plain PyTorch", error)
        return False
    return True


def _by_kernels(
    x: Tensor, dt: Tensor, rate: Tensor, B: Tensor, C: Tensor, initial: Tensor | None
) -> tuple[Tensor, Tensor]:
    from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined

    y, state = mamba_chunk_scan_combined(
        x, dt, rate, B.unsqueeze(2), C.unsqueeze(2), chunk_size=256, initial_states=initial, return_final_states=True
    )
    return y, state
