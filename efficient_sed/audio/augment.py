"""Augmentations of a training batch. Each draws from a generator it is given, so that a resumed run repeats what it would have done."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def roll_in_time(x: Tensor, shifts: Tensor) -> Tensor:
    """Shift each example of (batch, ..., time) circularly by its own number of steps, shape (batch,)."""
    time = x.shape[-1]
    index = (torch.arange(time, device=x.device) - shifts.to(x.device)[:, None]) % time  # (B, T)
    return x.gather(-1, index.view(len(x), *[1] * (x.ndim - 2), time).expand_as(x))


def draw_time_shifts(rng: np.random.Generator, batch: int, num_frames: int, sigma: float) -> Tensor:
    """Gaussian shifts in output frames, shape (batch,). Whole frames, so that labels move by exactly what the spectrogram moves
    (the published code shifts the spectrogram by single mel frames and rounds the labels)."""
    return torch.from_numpy(np.rint(rng.normal(0.0, sigma * num_frames, batch)).astype(np.int64))


def draw_mixup(rng: np.random.Generator, batch: int, alpha: float) -> tuple[Tensor, Tensor]:
    """Partner of each example and its own share in the mix, at least a half; both of shape (batch,)."""
    share = rng.beta(alpha, alpha, batch)
    return torch.from_numpy(rng.permutation(batch)), torch.from_numpy(np.maximum(share, 1 - share).astype(np.float32))


def mix(x: Tensor, partners: Tensor, share: Tensor) -> Tensor:
    """share * x + (1 - share) * x[partners] for x of shape (batch, ...)."""
    weight = share.to(x).view(-1, *[1] * (x.ndim - 1))
    return x * weight + x[partners.to(x.device)] * (1 - weight)
