"""Another sample rate, in numpy: recordings are read without PyTorch."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

HALF_WIDTH = 6  # zero crossings of the filter on each side
MIN_PER_STEP = 32  # new samples that one row of the product of matrices makes
BLOCK_WEIGHTS = 2**22
ROLLOFF = 0.99  # of the lower Nyquist frequency


def resample(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Mono samples (num,) at another rate, ceil(num * wanted / rate) of them: a Hann-windowed sinc filter, equal to torchaudio's default.

    Smith and Gossett, "A flexible sampling-rate conversion method", ICASSP 1984.
    """
    if rate == wanted:
        return samples
    common = math.gcd(rate, wanted)
    times = repetitions(wanted // common)
    step, per_step = times * rate // common, times * wanted // common
    filters, half = _filters(step, per_step)
    count = math.ceil(per_step * len(samples) / step)
    steps = -(-count // per_step)
    padded = np.zeros(steps * step + 2 * half, dtype=np.float32)
    padded[half : half + len(samples)] = samples[: len(padded) - half]
    reached = np.lib.stride_tricks.sliding_window_view(padded, len(filters))[::step][
        :steps
    ]  # what the samples of a step are made of
    resampled: np.ndarray = (reached @ filters).reshape(-1)[:count]
    return resampled


def repetitions(per_step: int) -> int:
    """How many steps are joined into one, so that it makes enough samples."""
    return math.ceil(MIN_PER_STEP / per_step)


@lru_cache(maxsize=8)
def _filters(step: int, per_step: int) -> tuple[np.ndarray, int]:
    """Weights (samples, per_step) of the given samples in each new one of a step, and how many lie before it."""
    cutoff = min(step, per_step) * ROLLOFF
    half = math.ceil(HALF_WIDTH * step / cutoff)
    given = np.arange(-half, step + half) / step  # in steps
    filters = np.empty((len(given), per_step), np.float32)
    rows = max(1, BLOCK_WEIGHTS // per_step)  # in double precision all at once would take gigabytes at some rates
    for first in range(0, len(given), rows):
        time = np.clip(
            (given[first : first + rows, None] - np.arange(per_step) / per_step) * cutoff, -HALF_WIDTH, HALF_WIDTH
        )
        window = np.cos(time * np.pi / HALF_WIDTH / 2) ** 2
        filters[first : first + rows] = np.sinc(time) * window * cutoff / step
    return filters, half
