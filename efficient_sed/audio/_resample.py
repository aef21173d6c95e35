"""Resampling without PyTorch: the same low-pass filter as torchaudio's, by a polyphase filter of scipy.

Smith, "Digital audio resampling", https://ccrma.stanford.edu/~jos/resample/: a sinc, cut off a little below the lower of the two Nyquist
frequencies, in a squared cosine window.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

NUM_ZEROS, ROLL_OFF = 6, 0.99  # zero crossings on each side; cut-off over the lower Nyquist frequency


def resample(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Float32 samples at another rate, from the same instant on; equal to torchaudio's to 1e-4, and closer to the formula."""
    from scipy.signal import upfirdn

    common = math.gcd(rate, wanted)
    down, up = rate // common, wanted // common
    taps = _taps(down, up)
    reach = len(taps) // 2
    lead = -reach % down  # zeros, so that the middle tap meets a sample that is kept
    filtered: np.ndarray = upfirdn(np.pad(taps, (lead, 0)), samples, up, down)
    first = (lead + reach) // down
    return filtered[first : first + -(-up * len(samples) // down)]


@cache
def _taps(down: int, up: int) -> np.ndarray:
    """The filter at `up` times the rate of the input; an odd number of taps."""
    cutoff = ROLL_OFF * min(down, up)
    reach = math.ceil(NUM_ZEROS * down * up / cutoff)
    turns = (np.arange(-reach, reach + 1) * (cutoff / (down * up))).clip(-NUM_ZEROS, NUM_ZEROS)
    taps: np.ndarray = (np.sinc(turns) * np.cos(turns * (np.pi / (2 * NUM_ZEROS))) ** 2 * (cutoff / down)).astype(np.float32)
    return taps
