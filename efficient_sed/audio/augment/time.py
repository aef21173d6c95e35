"""Augmentations in time and between clips. Each draws from a generator it is given, so that a resumed run repeats what it would have done."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

MIN_MASK = 0.05  # share of the clip


def roll_in_time(x: Tensor, shifts: Tensor) -> Tensor:
    """Shift each example of (batch, ..., time) circularly by its own number of steps, shape (batch,)."""
    time = x.shape[-1]
    index = (torch.arange(time, device=x.device) - shifts[:, None]) % time  # (B, T)
    return x.gather(-1, index.view(len(x), *[1] * (x.ndim - 2), time).expand_as(x))


def draw_time_shifts(rng: np.random.Generator, batch: int, num_frames: int, sigma: float) -> Tensor:
    """Gaussian shifts in output frames, shape (batch,). Whole frames, so that labels move by exactly what the spectrogram moves
    (the published code shifts the spectrogram by single mel frames and rounds the labels)."""
    return torch.from_numpy(np.rint(rng.normal(0.0, sigma * num_frames, batch)).astype(np.int64))


def draw_mixup(rng: np.random.Generator, batch: int, alpha: float, probability: float = 1.0) -> tuple[Tensor, Tensor]:
    """Partner of each example and its own share in the mix, at least a half; both of shape (batch,).

    Args:
        probability: Of each example to be mixed at all; the others have a share of 1.
    """
    share = rng.beta(alpha, alpha, batch)
    share = np.where(rng.random(batch) < probability, np.maximum(share, 1 - share), 1.0)
    return torch.from_numpy(rng.permutation(batch)), torch.from_numpy(share.astype(np.float32))


def mix(x: Tensor, partners: Tensor, share: Tensor) -> Tensor:
    """share * x + (1 - share) * x[partners] for x of shape (batch, ...)."""
    return x[partners].lerp_(
        x, share.to(x.dtype).view(-1, *[1] * (x.ndim - 1))
    )  # in place: batches of waveforms are slow to allocate


def mix_waveforms(waveform: Tensor, partners: Tensor, share: Tensor) -> Tensor:
    """As `mix`, of waveforms (batch, samples) without their means; those with a share of 1 stay as they are.

    Morocutti et al. 2025, released code; the partner is of the same batch, so that no second file is read for it (there: of the whole data set).
    """
    offset = mix(waveform.mean(-1, keepdim=True), partners, share)  # the mean of the mix, which is the mix of the means
    return mix(waveform, partners, share).sub_(offset * (share < 1).to(offset)[:, None])


def draw_time_masks(rng: np.random.Generator, batch: int, num_frames: int, max_share: float) -> Tensor:
    """Output frames to keep, bool of shape (batch, frames): all but one stretch of 0.05 to `max_share` of each clip."""
    width = np.rint(rng.uniform(MIN_MASK, max_share, batch) * num_frames).astype(np.int64)
    first = rng.integers(num_frames - width + 1)
    frames = np.arange(num_frames)
    return torch.from_numpy((frames < first[:, None]) | (frames >= (first + width)[:, None]))


def mask_in_time(x: Tensor, kept: Tensor, stride: int = 1, silence: Tensor | None = None) -> Tensor:
    """Blank what is not kept; x of shape (batch, ..., frames * stride), kept (batch, frames).

    Args:
        silence: What to blank it with, of a shape like x's; none: zero, which is a student's spectrogram's average, and no event.
    """
    steps = kept.repeat_interleave(stride, -1)[:, : x.shape[-1]]
    steps = torch.nn.functional.pad(
        steps, (0, x.shape[-1] - steps.shape[-1]), value=True
    )  # frames that fill no output frame
    steps = steps.view(len(x), *[1] * (x.ndim - 2), -1)
    return x * steps.to(x.dtype) if silence is None else torch.where(steps, x, silence.to(x))
