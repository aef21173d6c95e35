"""What happens to a sound before it is mixed: another speed, length or pitch; and to a scene: a room."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.audio.resample import resample
from efficient_sed.data.mixing.options import MixingConfig
from efficient_sed.data.mixing.place import Rng

UNITS = 20  # factors are twentieths, since resampling by a ratio of small numbers is cheap
DECAY = math.log(1000.0)  # by 60 dB
SHORTEST_REVERB_S = 0.1
DIRECT_TO_REVERB_DB = (0.0, 15.0)
ECHO_S = 0.004  # from the sound to the first reflections


class Changes(NamedTuple):
    """Factors in twentieths."""

    speed: int = UNITS
    length: int = UNITS
    pitch: int = UNITS

    def new_count(self, count: int) -> int:
        """Samples of a sound of so many after it was changed."""
        return math.ceil(count * self.length / self.speed)

    def old_count(self, count: int) -> int:
        """Samples that a sound needs for so many after it was changed."""
        return math.floor(count * self.speed / self.length)

    def apply(self, samples: np.ndarray) -> np.ndarray:
        """Change samples at 16 kHz, shape (samples,), float32."""
        factor = self.length * self.pitch / UNITS**2
        if factor != 1:
            import torch

            from efficient_sed.audio.augment.waveform import stretch_time

            samples = stretch_time(torch.from_numpy(samples)[None], factor, SAMPLE_RATE)[0].numpy()
        return resample(samples, self.speed * self.pitch, UNITS**2)


def draw_changes(rng: Rng, options: MixingConfig) -> Changes:
    """Factors within the options' limits."""
    largest = (round(change * UNITS) for change in (options.speed_change, options.time_stretch, options.pitch_shift))
    return Changes(*(int(rng.integers(UNITS - most, UNITS + most + 1)) if most else UNITS for most in largest))


def add_room(rng: Rng, sounds: np.ndarray, longest_s: float) -> None:
    """Add to sounds, in place, what a room gives back of them.

    The impulse response is Gaussian noise under an exponential decay: Moorer, "About this reverberation business", 1979
    (https://doi.org/10.2307/3680280).

    Args:
        rng: Draws the room.
        sounds: At 16 kHz, shape (samples,), float32; silent where there are none.
        longest_s: Reverberation time in seconds that the room has at most.
    """
    import scipy.fft

    reverb_s = rng.uniform(SHORTEST_REVERB_S, longest_s)
    size = round(reverb_s * SAMPLE_RATE)
    decay = np.exp(np.linspace(0, -DECAY, size, dtype=np.float32))
    response = rng.standard_normal(size, dtype=np.float32) * decay
    power = 10 ** (-rng.uniform(*DIRECT_TO_REVERB_DB) / 10)
    response *= float(np.sqrt(power / np.square(response).sum()))
    (sounding,) = np.nonzero(sounds)
    if len(sounding) == 0:
        return
    first, last, delay = int(sounding[0]), int(sounding[-1]) + 1, round(ECHO_S * SAMPLE_RATE)
    length = min(last - first + size, len(sounds) - first - delay)
    if length <= 0:
        return
    fast = scipy.fft.next_fast_len(last - first + size, real=True)
    spectrum = scipy.fft.rfft(sounds[first:last], fast) * scipy.fft.rfft(response, fast)
    sounds[first + delay : first + delay + length] += scipy.fft.irfft(spectrum, fast)[:length]
