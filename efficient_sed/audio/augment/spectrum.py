"""Augmentations along the frequency axis of spectrograms (batch, 1, mel_bins, frames).

Labels stay as they are. Off by default, as published.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torchaudio.functional import mask_along_axis_iid

from efficient_sed.audio.frontends.mel import LOG_SCALE

FILTER_BANDS = (3, 5)
MIN_BAND_BINS = 6


def mix_styles(mel: Tensor, partners: Tensor, share: Tensor) -> Tensor:
    """Mix each clip's mean and deviation over time, in each mel bin, with those of its partner.

    Zhou et al., "Domain Generalization with MixStyle", ICLR 2021 (https://arxiv.org/abs/2104.02008), along frequency as
    in Kim et al. 2022.

    Args:
        mel: Shape (batch, 1, mel_bins, frames).
        partners: Index of each clip's partner, from `draw_mixup`, shape (batch,).
        share: Weight of the clip's own statistics, from `draw_mixup`, shape (batch,).
    """
    mean, deviation = mel.mean(-1, keepdim=True), (mel.var(-1, keepdim=True) + 1e-6).sqrt()
    share = share.to(mel.dtype).view(-1, 1, 1, 1)
    new_mean = share * mean + (1 - share) * mean[partners]
    new_deviation = share * deviation + (1 - share) * deviation[partners]
    return (mel - mean) * (new_deviation / deviation) + new_mean


def draw_filters(rng: np.random.Generator, batch: int, mel_bins: int, max_db: float, kind: str) -> Tensor:
    """Draw random filters. The number of bands is the same in a batch; each clip has its own edges and gains.

    Nam et al., "FilterAugment: An Acoustic Environmental Data Augmentation Method", ICASSP 2022.

    Args:
        rng: Where to draw from.
        batch: Number of clips.
        mel_bins: Number of mel bins.
        max_db: Largest gain and largest loss.
        kind: "linear", with gains interpolated between the edges of bands, or "step", with one gain for each band.

    Returns:
        Gains in dB, shape (batch, mel_bins).
    """
    bands = int(rng.integers(FILTER_BANDS[0], FILTER_BANDS[1] + 1))
    spare = np.sort(rng.integers(mel_bins - bands * MIN_BAND_BINS + 1, size=(batch, bands - 1)), -1)
    inner = spare + MIN_BAND_BINS * np.arange(1, bands)
    edges = np.concatenate([np.zeros((batch, 1), int), inner, np.full((batch, 1), mel_bins)], 1)  # (B, bands + 1)
    gains = rng.uniform(-max_db, max_db, (batch, bands + 1))
    bins = np.arange(mel_bins)
    band = (bins >= inner[:, :, None]).sum(1)  # (B, mel_bins)
    left, right = (np.take_along_axis(edges, band + side, 1) for side in (0, 1))
    low, high = (np.take_along_axis(gains, band + side, 1) for side in (0, 1))
    chosen = low + (high - low) * (bins - left) / (right - left) if kind == "linear" else low
    return torch.from_numpy(chosen.astype(np.float32))


def apply_filters(mel: Tensor, gains_db: Tensor) -> Tensor:
    """Add the gains (batch, mel_bins) to a logarithmic spectrogram; the published code multiplies the logarithm."""
    return mel + (gains_db * (math.log(10) / 10 / LOG_SCALE)).to(mel.dtype)[:, None, :, None]


def draw_warps(rng: np.random.Generator, batch: int, mel_bins: int, min_share: float) -> Tensor:
    """Draw a random range of bins for each clip, which is stretched over all bins.

    Returns:
        The position that each bin is read from, in [0, mel_bins - 1], shape (batch, mel_bins).
    """
    share = rng.uniform(min_share, 1.0, (batch, 1))
    first = rng.uniform(0.0, 1.0, (batch, 1)) * (1 - share)
    return torch.from_numpy(((first + share * np.linspace(0, 1, mel_bins)) * (mel_bins - 1)).astype(np.float32))


def warp_frequency(mel: Tensor, positions: Tensor) -> Tensor:
    """Resample the mel axis at `positions`, linearly; the published code has one range for a batch, and is bicubic."""
    below = positions.floor().long().clamp(max=mel.shape[2] - 2)
    fraction = (positions - below).to(mel.dtype)[:, None, :, None]
    low, high = (mel.gather(2, (below + side)[:, None, :, None].expand_as(mel)) for side in (0, 1))
    return low + (high - low) * fraction


def draw_stripes(
    rng: np.random.Generator, shape: tuple[int, int, int], num_stripes: int, max_bins: int, max_frames: int
) -> tuple[Tensor, Tensor]:
    """Draw the masks of SpecAugment.

    Park et al., "SpecAugment: A Simple Data Augmentation Method for Automatic Speech Recognition", Interspeech 2019
    (https://arxiv.org/abs/1904.08779).

    Args:
        rng: Where to draw from.
        shape: (batch, mel_bins, frames).
        num_stripes: Masks along each axis.
        max_bins: Masks along frequency are narrower.
        max_frames: Masks along time are shorter.

    Returns:
        Bins to keep, bool of shape (batch, 1, mel_bins, 1), and frames to keep, (batch, 1, 1, frames).
    """
    batch, mel_bins, num_frames = shape
    bins, frames = torch.ones(batch, 1, mel_bins, 1), torch.ones(batch, 1, 1, num_frames)
    with torch.random.fork_rng(devices=()):  # torchaudio draws from the global generator
        torch.manual_seed(int(rng.integers(2**31)))
        for _ in range(num_stripes):
            bins = mask_along_axis_iid(bins, max_bins, 0.0, axis=2)
            frames = mask_along_axis_iid(frames, max_frames, 0.0, axis=3)
    return bins != 0, frames != 0


def mask_stripes(mel: Tensor, kept_bins: Tensor, kept_frames: Tensor) -> Tensor:
    """Set masked values to the mean of their clip, which suits any scale of spectrogram."""
    return torch.where(kept_bins & kept_frames, mel, mel.mean((1, 2, 3), keepdim=True))
