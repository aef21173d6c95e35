"""Augmentations of waveforms (batch, samples): mixtures by loudness, and speed. Off by default, as published for the released models."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchaudio.functional import resample

MIN_POWER = 1e-8  # -80 dB: silence is mixed as if it were that loud
LOUDNESS_WINDOW_S = 0.1
SPEED_UNITS = 20  # speeds are twentieths: resampling by a fraction of small numbers is cheap


def mix_by_loudness(waveform: Tensor, partners: Tensor, share: Tensor, sample_rate: int) -> Tensor:
    """Mix by shares of what is heard, and keep the energy; waveforms with a share of 1 stay as they are.

    Tokozume et al., "Learning from Between-class Examples for Deep Sound Recognition", ICLR 2018 (https://arxiv.org/abs/1711.10282), section 3.2.2.

    Args:
        partners: From `draw_mixup`, as `share`: the part of the clip's own labels in those of the mix, shape (batch,).
    """
    partners, share = partners.to(waveform.device), share.to(waveform)
    pressure = 10 ** (loudness_db(waveform, sample_rate) / 20)
    own, other = share * pressure[partners], (1 - share) * pressure  # the louder one gets less
    weight = (own / (own + other))[:, None]
    return (weight * waveform + (1 - weight) * waveform[partners]) / (weight.square() + (1 - weight).square()).sqrt()


def loudness_db(waveform: Tensor, sample_rate: int) -> Tensor:
    """A-weighted level of the loudest tenth of a second, relative to full scale, -80 dB or more; shape (batch,)."""
    length = min(round(LOUDNESS_WINDOW_S * sample_rate), waveform.shape[-1])
    frames = waveform.float().unfold(-1, length, max(1, length // 2))
    weights = a_weighting(torch.fft.rfftfreq(length, 1 / sample_rate, device=waveform.device)) * 2 / length**2  # mean power, by Parseval
    power = (torch.view_as_real(torch.fft.rfft(frames)).square().sum(-1) * weights).sum(-1)  # no product of matrices: float16 would overflow
    return 10 * power.amax(-1).clamp(min=MIN_POWER).log10()


def a_weighting(frequency_hz: Tensor) -> Tensor:
    """Factor on power that the ear's sensitivity is taken to have, 1 at 1 kHz; IEC 61672-1:2013, appendix E."""
    squared = frequency_hz.square()
    gain = squared**2 * 12194.217**2 / ((squared + 20.598997**2) * (squared + 12194.217**2) * ((squared + 107.65265**2) * (squared + 737.86223**2)).sqrt())
    return (10 ** (2.0 / 20) * gain).square()


def draw_speeds(rng: np.random.Generator, batch: int, max_change: float) -> np.ndarray:
    """Speeds of 1 - max_change to 1 + max_change in twentieths, whole numbers of shape (batch,)."""
    largest = round(max_change * SPEED_UNITS)
    return SPEED_UNITS + rng.integers(-largest, largest, batch, endpoint=True)


def change_speed(waveform: Tensor, speeds: np.ndarray) -> Tensor:
    """Play faster or slower, with another pitch: each clip begins where it did, and is cut or filled with silence to its length."""
    changed = torch.zeros_like(waveform)
    with torch.autocast(waveform.device.type, enabled=False):
        for speed in np.unique(speeds):
            rows = torch.from_numpy(np.flatnonzero(speeds == speed)).to(waveform.device)
            played = resample(waveform[rows], int(speed), SPEED_UNITS)[:, : waveform.shape[-1]]
            changed[rows, : played.shape[-1]] = played
    return changed


def change_label_speed(x: Tensor, speeds: np.ndarray) -> Tensor:
    """What `change_speed` makes of labels (batch, classes, frames): those of the frame that is heard in the middle of each."""
    num_frames = x.shape[-1]
    source = torch.from_numpy((2 * np.arange(num_frames) + 1) * speeds[:, None] // (2 * SPEED_UNITS)).to(x.device)  # (B, T)
    index = source.clamp(max=num_frames - 1)[:, None].expand_as(x)
    return x.gather(-1, index) * (source < num_frames)[:, None].to(x.dtype)
