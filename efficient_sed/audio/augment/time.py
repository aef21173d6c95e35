"""Augmentations in time and between clips.

Each draws from a generator that it is given, so that a resumed training draws what it would have drawn.
"""

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
    """Draw Gaussian shifts in whole output frames, shape (batch,), so that labels move exactly as the spectrogram does.

    The published code shifts the spectrogram by single mel frames and rounds for the labels.
    """
    return torch.from_numpy(np.rint(rng.normal(0.0, sigma * num_frames, batch)).astype(np.int64))


def draw_mixup(rng: np.random.Generator, batch: int, alpha: float, probability: float = 1.0) -> tuple[Tensor, Tensor]:
    """Draw the partner of each example, and its own share in the mix.

    Args:
        rng: Where to draw from.
        batch: Number of examples.
        alpha: Both parameters of the beta distribution.
        probability: Of each example to be mixed at all; the others have a share of 1.

    Returns:
        Indices of partners, and shares of at least 1/2, both of shape (batch,).
    """
    share = rng.beta(alpha, alpha, batch)
    share = np.where(rng.random(batch) < probability, np.maximum(share, 1 - share), 1.0)
    return torch.from_numpy(rng.permutation(batch)), torch.from_numpy(share.astype(np.float32))


def mix(x: Tensor, partners: Tensor, share: Tensor) -> Tensor:
    """Compute share * x + (1 - share) * x[partners] for x of shape (batch, ...)."""
    weights = share.to(x.dtype).view(-1, *[1] * (x.ndim - 1))
    return x[partners].lerp_(x, weights)  # in place: batches of waveforms are slow to allocate


def mix_waveforms(waveform: Tensor, partners: Tensor, share: Tensor) -> Tensor:
    """Mix waveforms (batch, samples) as `mix`, and remove the mean of mixtures; a share of 1 changes nothing.

    Morocutti et al. 2025, released code. Changed: partners are of the same batch, so that no second file is read.
    """
    offset = mix(waveform.mean(-1, keepdim=True), partners, share)  # the mean of the mix, which is the mix of the means
    return mix(waveform, partners, share).sub_(offset * (share < 1).to(offset)[:, None])


def draw_time_masks(rng: np.random.Generator, batch: int, num_frames: int, max_share: float) -> Tensor:
    """Draw the output frames to keep: all but 0.05 to `max_share` of each clip; bool (batch, frames)."""
    width = np.rint(rng.uniform(MIN_MASK, max_share, batch) * num_frames).astype(np.int64)
    first = rng.integers(num_frames - width + 1)
    frames = np.arange(num_frames)
    return torch.from_numpy((frames < first[:, None]) | (frames >= (first + width)[:, None]))


def mask_in_time(x: Tensor, kept: Tensor, stride: int = 1, silence: Tensor | None = None) -> Tensor:
    """Replace masked steps.

    Args:
        x: Shape (batch, ..., frames * stride).
        kept: Output frames to keep, shape (batch, frames).
        stride: Steps of x in an output frame.
        silence: Values to replace them with, of a shape that broadcasts to x's. Default None: zero, which is the
            average of the students' spectrograms and, in labels, no event.
    """
    steps = kept.repeat_interleave(stride, -1)[:, : x.shape[-1]]
    missing = x.shape[-1] - steps.shape[-1]  # steps that fill no output frame are kept
    steps = torch.nn.functional.pad(steps, (0, missing), value=True)
    steps = steps.view(len(x), *[1] * (x.ndim - 2), -1)
    return x * steps.to(x.dtype) if silence is None else torch.where(steps, x, silence.to(x))
