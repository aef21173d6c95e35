"""A spectrogram for the screen: mel bands in decibels, with no more columns than a screen can show.

It is computed in numpy, block by block, so that long recordings need little memory.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from efficient_sed.audio.grid import HOP_LENGTH, SAMPLE_RATE

WINDOW_LENGTH = 640  # 40 ms
FFT_LENGTH = 1024
BANDS = 80
LOWEST_HZ, HIGHEST_HZ = 40.0, SAMPLE_RATE / 2
MARKED_HZ = (250, 500, 1000, 2000, 4000)
MAX_COLUMNS = 4000
RANGE_DB = 70.0  # from black to white
LEVELS = 64  # of brightness; more cannot be distinguished, and compress badly


class MelPicture(NamedTuple):
    """Brightness of each cell."""

    levels: np.ndarray
    """Shape (bands, columns), 0 to LEVELS - 1, the lowest band first."""
    column_s: float
    """Seconds of a column."""


def draw_mel(blocks: Iterable[np.ndarray], num_samples: int, max_columns: int = MAX_COLUMNS) -> MelPicture:
    """Draw consecutive blocks of a recording; the loudest cell is the brightest.

    Args:
        blocks: Samples at 16 kHz, each block of shape (samples,).
        num_samples: In all blocks together, approximately; it decides how many frames of 10 ms make a column.
        max_columns: About as many columns at most.
    """
    pool = max(1, math.ceil(num_samples / HOP_LENGTH / max_columns))
    powers = np.concatenate(list(_pooled(_band_powers(blocks), pool)))
    decibels = 10 * np.log10(np.maximum(powers, np.finfo(np.float32).tiny)).T
    shares = (decibels - decibels.max()) / RANGE_DB + 1
    is_silent = powers.max() == 0
    levels = np.zeros_like(shares) if is_silent else np.clip(np.round(shares * (LEVELS - 1)), 0, LEVELS - 1)
    return MelPicture(levels.astype(np.uint8), pool * HOP_LENGTH / SAMPLE_RATE)


def mel_position(hertz: float) -> float:
    """Where a frequency lies between the lower edge of the picture, 0, and the upper one, 1."""
    low, position, high = _to_mel(np.array([LOWEST_HZ, hertz, HIGHEST_HZ]))
    return float((position - low) / (high - low))


def _band_powers(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Powers (frames, bands); the middle of frame k is the 10 ms from sample k * HOP_LENGTH on."""
    window = np.hanning(WINDOW_LENGTH + 1)[:-1].astype(np.float32)
    filters = _filters()
    margin = (WINDOW_LENGTH - HOP_LENGTH) // 2
    pending = np.zeros(margin, dtype=np.float32)
    silence = np.zeros(margin + HOP_LENGTH - 1, dtype=np.float32)
    for block in itertools.chain(blocks, [silence]):
        pending = np.concatenate([pending, block])
        count = (len(pending) - WINDOW_LENGTH) // HOP_LENGTH + 1
        if count > 0:
            frames = np.lib.stride_tricks.sliding_window_view(pending, WINDOW_LENGTH)[::HOP_LENGTH]
            yield np.square(np.abs(np.fft.rfft(frames * window, FFT_LENGTH))).astype(np.float32) @ filters
            pending = pending[count * HOP_LENGTH :]


def _pooled(pieces: Iterable[np.ndarray], pool: int) -> Iterator[np.ndarray]:
    """Means over `pool` rows; the last one over the rows that are left."""
    pending = np.zeros((0, BANDS), dtype=np.float32)
    for piece in pieces:
        pending = np.concatenate([pending, piece])
        whole = len(pending) // pool * pool
        yield pending[:whole].reshape(-1, pool, BANDS).mean(axis=1)
        pending = pending[whole:]
    if len(pending):
        yield pending.mean(axis=0, keepdims=True)


def _filters() -> np.ndarray:
    """Triangular mel filters, shape (bins, bands); as Kaldi's, but without PyTorch."""
    low, high = _to_mel(np.array([LOWEST_HZ, HIGHEST_HZ]))
    edges = np.linspace(low, high, BANDS + 2)
    mel = _to_mel(np.fft.rfftfreq(FFT_LENGTH, 1 / SAMPLE_RATE))[:, None]
    rising, falling = (mel - edges[:-2]) / (edges[1:-1] - edges[:-2]), (edges[2:] - mel) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0, np.minimum(rising, falling)), np.float32)


def _to_mel(hertz: np.ndarray) -> np.ndarray:
    """O'Shaughnessy, "Speech communication", 1987."""
    return np.asarray(2595 * np.log10(1 + hertz / 700))
