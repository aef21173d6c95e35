"""The sound in a recording: without the silence before and behind it."""

from __future__ import annotations

import numpy as np

from efficient_sed.audio.grid import SAMPLE_RATE

FRAME = SAMPLE_RATE // 100  # 10 ms
BACKGROUND_DB = 10.0
SILENT_PEAK = 1e-4  # -80 dB of full scale


def is_silent(samples: np.ndarray) -> bool:
    """Whether nothing of a recording reaches -80 dB of full scale."""
    return len(samples) == 0 or float(np.abs(samples).max()) < SILENT_PEAK


def find_sound(samples: np.ndarray, trim_db: float | None) -> slice:
    """From the first frame of 10 ms that comes within so many dB of the loudest one to the last.

    Args:
        samples: At 16 kHz, shape (samples,).
        trim_db: Default None, everything.
    """
    if trim_db is None:
        return slice(0, len(samples))
    power = _power(samples)
    return _between(power >= power.max() * 10 ** (-trim_db / 10), len(samples))


def find_background(samples: np.ndarray) -> slice:
    """A recording without the silence and fades at its ends, which are holes in a scene that it fills again and again.

    It is measured by the median frame, so that one loud sound in an hour cuts nothing off.

    Args:
        samples: At 16 kHz, shape (samples,).
    """
    power = _power(samples)
    return _between(power >= np.median(power) * 10 ** (-BACKGROUND_DB / 10), len(samples))


def _power(samples: np.ndarray) -> np.ndarray:
    """Mean power of each frame."""
    frames = np.zeros((-(-len(samples) // FRAME), FRAME), np.float32)
    frames.reshape(-1)[: len(samples)] = samples
    return np.asarray(np.square(frames).mean(axis=1))


def _between(is_loud: np.ndarray, count: int) -> slice:
    (loud,) = np.nonzero(is_loud)
    return slice(int(loud[0]) * FRAME, min(count, int(loud[-1] + 1) * FRAME))
