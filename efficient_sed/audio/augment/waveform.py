"""Augmentations of waveforms (batch, samples): mixtures by loudness, speed and pitch.

Off by default, as published for the released models.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchaudio.transforms import Resample

MIN_POWER = 1e-8  # -80 dB; silence is mixed as if it were that loud
LOUDNESS_WINDOW_S = 0.1
FACTOR_UNITS = 20  # factors are twentieths, since resampling by a ratio of small numbers is cheap
VOCODER_WINDOW_S = 0.04  # or more, to a power of two: two periods of a low voice
Rows = Mapping[int, Tensor]
"""The clips of a batch by their factor, in twentieths."""


def mix_by_loudness(waveform: Tensor, partners: Tensor, share: Tensor, sample_rate: int) -> Tensor:
    """Mix waveforms so that each is as loud as its share, and keep the energy; a share of 1 changes nothing.

    Tokozume et al., "Learning from Between-class Examples for Deep Sound Recognition", ICLR 2018
    (https://arxiv.org/abs/1711.10282), section 3.2.2.

    Args:
        waveform: Shape (batch, samples).
        partners: Index of each clip's partner, from `draw_mixup`, shape (batch,).
        share: Weight of the clip's own labels, from `draw_mixup`, shape (batch,).
        sample_rate: In Hz.
    """
    pressure = 10 ** (loudness_db(waveform, sample_rate) / 20)
    own, other = share * pressure[partners], (1 - share) * pressure  # the louder one gets less
    weight = (own / (own + other))[:, None]
    return (weight * waveform + (1 - weight) * waveform[partners]) / (weight.square() + (1 - weight).square()).sqrt()


def loudness_db(waveform: Tensor, sample_rate: int) -> Tensor:
    """Measure the A-weighted level of the loudest 0.1 s in dB of full scale, at least -80; shape (batch,)."""
    length = min(round(LOUDNESS_WINDOW_S * sample_rate), waveform.shape[-1])
    frames = waveform.float().unfold(-1, length, max(1, length // 2))
    frequency_hz = torch.fft.rfftfreq(length, 1 / sample_rate, device=waveform.device)
    weights = a_weighting(frequency_hz) * 2 / length**2  # mean power, by Parseval
    # Not a matrix product, which would overflow in float16 under autocast.
    power = (torch.view_as_real(torch.fft.rfft(frames)).square().sum(-1) * weights).sum(-1)
    return 10 * power.amax(-1).clamp(min=MIN_POWER).log10()


def a_weighting(frequency_hz: Tensor) -> Tensor:
    """Compute the A-weighting as a factor of power, 1 at 1 kHz; IEC 61672-1:2013, appendix E."""
    squared = frequency_hz.square()
    middle = ((squared + 107.65265**2) * (squared + 737.86223**2)).sqrt()
    gain = squared**2 * 12194.217**2 / ((squared + 20.598997**2) * (squared + 12194.217**2) * middle)
    return (10 ** (2.0 / 20) * gain).square()


def draw_factors(rng: np.random.Generator, batch: int, max_change: float) -> np.ndarray:
    """Draw factors of 1 - max_change to 1 + max_change, as whole twentieths of shape (batch,)."""
    largest = round(max_change * FACTOR_UNITS)
    return FACTOR_UNITS + rng.integers(-largest, largest, batch, endpoint=True)


def rows_by_factor(factors: np.ndarray) -> Rows:
    """Group clips by their factor; factors of shape (batch,)."""
    return {int(factor): torch.from_numpy(np.flatnonzero(factors == factor)) for factor in np.unique(factors)}


@functools.cache
def _resampler(factor: int, device: torch.device) -> Resample:
    """Resampling to a length divided by a factor in twentieths; cached, since its filters are copied to the device."""
    return Resample(factor, FACTOR_UNITS, dtype=torch.float32).to(device)


def change_speed(waveform: Tensor, rows: Rows) -> Tensor:
    """Play clips faster or slower, which changes their pitch, too; each is cut or filled with silence to its length.

    Args:
        waveform: Shape (batch, samples).
        rows: By speed, on the waveform's device; every clip is in one of them.
    """
    changed = torch.zeros_like(waveform)
    with torch.autocast(waveform.device.type, enabled=False):
        for speed, clips in rows.items():
            played = _resampler(speed, waveform.device)(waveform[clips])[:, : waveform.shape[-1]]
            changed[clips, : played.shape[-1]] = played
    return changed


def shift_pitch(waveform: Tensor, rows: Rows, sample_rate: int) -> Tensor:
    """Multiply frequencies without changing the time: a phase vocoder stretches each clip, resampling shortens it.

    Args:
        waveform: Shape (batch, samples).
        rows: By factor, on the waveform's device.
        sample_rate: In Hz.
    """
    shifted, num_samples = waveform.clone(), waveform.shape[-1]
    with torch.autocast(waveform.device.type, enabled=False):
        for factor, clips in rows.items():
            if factor == FACTOR_UNITS:
                continue
            longer = stretch_time(waveform[clips], factor / FACTOR_UNITS, sample_rate)
            shifted[clips] = _resampler(factor, waveform.device)(longer)[:, :num_samples]
    return shifted


def stretch_time(waveform: Tensor, factor: float, sample_rate: int) -> Tensor:
    """Stretch clips in time by a phase vocoder, which keeps their pitch.

    Args:
        waveform: Shape (batch, samples).
        factor: Of their length.
        sample_rate: In Hz.

    Returns:
        Shape (batch, ceil(samples * factor)).
    """
    num_samples = waveform.shape[-1]
    size = min(2 ** math.ceil(math.log2(VOCODER_WINDOW_S * sample_rate)), num_samples)
    hop, window = max(1, size // 4), torch.hann_window(size, device=waveform.device)
    spectrum = torch.stft(waveform, size, hop, window=window, return_complex=True)
    longer = _overlap_add(_stretch(spectrum, 1 / factor), hop, window)
    return longer[:, : math.ceil(round(num_samples * factor, 6))]


def _overlap_add(spectrum: Tensor, hop: int, window: Tensor) -> Tensor:
    """`torch.istft` of a spectrum (batch, bins, frames) without its check of the windows, which waits for a GPU."""
    size, num_frames = len(window), spectrum.shape[-1]
    frames = torch.fft.irfft(spectrum, size, dim=1) * window[:, None]
    squares = window.square()[None, :, None].expand(1, -1, num_frames)
    shape = {"output_size": (1, size + hop * (num_frames - 1)), "kernel_size": (1, size), "stride": (1, hop)}
    signal, weight = (F.fold(x, **shape)[:, 0, 0, size // 2 :] for x in (frames, squares))
    return signal / weight


def _stretch(spectrum: Tensor, rate: float) -> Tensor:
    """Stretch a spectrum (batch, bins, frames) in time by 1 / rate; phases advance by the same steps as before.

    The phases of neighbouring bins are locked, else those of one tone would drift apart and cancel: Puckette,
    "Phase-locked vocoder", WASPAA 1995.
    """
    frames = F.pad(spectrum, (0, 1)).unbind(-1)
    phase, stretched = _phase(frames[0], torch.ones_like(frames[0])), []
    for position in np.arange(0, spectrum.shape[-1], rate):
        index = int(position)
        now, after, share = frames[index], frames[index + 1], float(position) - index
        stretched.append(((1 - share) * now.abs() + share * after.abs()) * phase)
        # The window turns the phase of every other bin round, hence the signs.
        locked = stretched[-1] - F.pad(stretched[-1][:, 1:], (0, 1)) - F.pad(stretched[-1][:, :-1], (1, 0))
        phase = _phase(_phase(locked, phase) * after * now.conj(), _phase(after, phase))
    return torch.stack(stretched, -1)


def _phase(x: Tensor, otherwise: Tensor) -> Tensor:
    """Complex numbers of the same phase and magnitude 1; where x is zero, those of `otherwise`."""
    return torch.where(x == 0, otherwise, torch.sgn(x))


def change_label_speed(x: Tensor, speeds: Tensor) -> Tensor:
    """Change labels as `change_speed` changes the sound: each frame has the labels of the frame played at its middle.

    Args:
        x: Labels, shape (batch, classes, frames).
        speeds: In twentieths, shape (batch,).
    """
    num_frames = x.shape[-1]
    source = (2 * torch.arange(num_frames, device=x.device) + 1) * speeds[:, None] // (2 * FACTOR_UNITS)  # (B, T)
    index = source.clamp(max=num_frames - 1)[:, None].expand_as(x)
    return x.gather(-1, index) * (source < num_frames)[:, None].to(x.dtype)
