"""How each class of the synthetic soundscapes sounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from efficient_sed.audio.grid import SAMPLE_RATE

Rng = np.random.Generator
Synth = Callable[[Rng, int], np.ndarray]


class SoundClass(NamedTuple):
    """How one class sounds: seconds it lasts, how often it comes relative to the commonest, and its generator."""

    min_s: float
    max_s: float
    weight: float
    synthesise: Synth


def _time(n: int) -> np.ndarray:
    return np.arange(n) / SAMPLE_RATE


def _phase(frequency_hz: np.ndarray) -> np.ndarray:
    return 2 * np.pi * np.cumsum(frequency_hz) / SAMPLE_RATE


def _log_uniform(rng: Rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _harmonics(rng: Rng, phase: np.ndarray, count: int = 4) -> np.ndarray:
    """A tone with a few overtones of random strength."""
    return np.asarray(
        sum(rng.uniform(0.2, 1.0) / k * np.sin(k * phase + rng.uniform(0, 2 * np.pi)) for k in range(1, count + 1))
    )


def _band_noise(rng: Rng, n: int, low_hz: float, high_hz: float) -> np.ndarray:
    noise = rng.standard_normal(n)
    from scipy.signal import butter, sosfilt  # takes a second, and the list of classes is asked for without it

    return np.asarray(sosfilt(butter(2, [low_hz, high_hz], "bandpass", fs=SAMPLE_RATE, output="sos"), noise))


def _pulses(n: int, period_s: float, on_s: float) -> np.ndarray:
    """Gate that opens for on_s about once a period.

    The event begins and ends with a pulse, so that its borders can be heard.
    """
    rest_s = n / SAMPLE_RATE - on_s
    gate = (_time(n) % (rest_s / max(1, round(rest_s / period_s))) < on_s).astype(float)
    ramp = np.hanning(2 * int(0.004 * SAMPLE_RATE) + 1)
    return np.convolve(gate, ramp / ramp.sum(), "same")


def _hum(rng: Rng, n: int) -> np.ndarray:
    return _harmonics(rng, _phase(np.full(n, rng.uniform(80, 160))), 8)


def _rumble(rng: Rng, n: int) -> np.ndarray:
    return _band_noise(rng, n, 40, rng.uniform(150, 350))


def _hiss(rng: Rng, n: int) -> np.ndarray:
    return _band_noise(rng, n, rng.uniform(2500, 4000), 6800)


def _beep(rng: Rng, n: int) -> np.ndarray:
    return np.asarray(np.sin(_phase(np.full(n, rng.uniform(1000, 3000)))))


def _click(rng: Rng, n: int) -> np.ndarray:
    return np.asarray(rng.standard_normal(n) * np.exp(-_time(n) / 0.012))


def _knock(rng: Rng, n: int) -> np.ndarray:
    return np.asarray(np.sin(_phase(np.full(n, rng.uniform(180, 500)))) * np.exp(-_time(n) / 0.05))


def _sweep(rng: Rng, n: int, is_rising: bool) -> np.ndarray:
    low = _log_uniform(rng, 300, 900)
    ends = (low, low * rng.uniform(2.0, 4.0))
    start, stop = ends if is_rising else ends[::-1]
    return _harmonics(rng, _phase(np.geomspace(start, stop, n)), 3)


def _siren(rng: Rng, n: int, rate_hz: float) -> np.ndarray:
    centre, depth = rng.uniform(700, 1400), rng.uniform(1.3, 1.8)
    return _harmonics(
        rng, _phase(centre * depth ** np.sin(2 * np.pi * rate_hz * _time(n) + rng.uniform(0, 2 * np.pi))), 3
    )


def _pulse_train(rng: Rng, n: int, period_s: float) -> np.ndarray:
    carrier = _harmonics(rng, _phase(np.full(n, rng.uniform(500, 2500))), 2)
    return np.asarray(carrier * _pulses(n, period_s, rng.uniform(0.09, 0.14)))


def _chime(rng: Rng, n: int, is_rising: bool) -> np.ndarray:
    """Three notes of one struck bell; only their order tells the two classes apart."""
    intervals = np.sort(rng.uniform(1.15, 1.5, 2).cumprod())
    notes = _log_uniform(rng, 400, 1200) * np.array([1.0, *intervals])
    notes = notes if is_rising else notes[::-1]
    edges = np.linspace(0, n, 4).astype(int)
    parts = [
        np.sin(_phase(np.full(b - a, f))) * np.exp(-_time(b - a) / 0.35)
        for f, a, b in zip(notes, edges, edges[1:], strict=False)
    ]
    return np.concatenate(parts)


def _flutter(rng: Rng, n: int, rate_hz: float) -> np.ndarray:
    swells = max(1, round(rate_hz * n / SAMPLE_RATE))  # whole ones, so that the event's borders can be heard
    envelope = np.sin(np.pi * swells * np.arange(n) / n) ** 4
    low = rng.uniform(500, 1500)
    return np.asarray(_band_noise(rng, n, low, 2 * low) * envelope)


SOUND_CLASSES: dict[str, SoundClass] = {
    # told apart by spectrum
    "hum": SoundClass(1.5, 6.0, 1.0, _hum),
    "rumble": SoundClass(1.0, 5.0, 0.6, _rumble),
    "hiss": SoundClass(0.8, 4.0, 0.8, _hiss),
    # short
    "click": SoundClass(0.05, 0.06, 0.5, _click),
    "beep": SoundClass(0.06, 0.15, 0.9, _beep),
    "knock": SoundClass(0.12, 0.25, 0.35, _knock),
    # told apart by rhythm over seconds; the pulses themselves are alike
    "pulse_train_slow": SoundClass(3.0, 7.0, 0.5, lambda rng, n: _pulse_train(rng, n, rng.uniform(0.8, 1.2))),
    "pulse_train_fast": SoundClass(2.0, 5.0, 0.3, lambda rng, n: _pulse_train(rng, n, rng.uniform(0.32, 0.5))),
    "flutter_slow": SoundClass(2.5, 6.0, 0.25, lambda rng, n: _flutter(rng, n, rng.uniform(0.7, 1.1))),
    "flutter_fast": SoundClass(2.0, 5.0, 0.4, lambda rng, n: _flutter(rng, n, rng.uniform(2.2, 3.4))),
    # told apart by contour over seconds
    "sweep_rising": SoundClass(1.5, 4.0, 0.45, lambda rng, n: _sweep(rng, n, True)),
    "sweep_falling": SoundClass(1.5, 4.0, 0.2, lambda rng, n: _sweep(rng, n, False)),
    "siren_wailing": SoundClass(3.0, 7.0, 0.15, lambda rng, n: _siren(rng, n, rng.uniform(0.2, 0.4))),
    "siren_yelping": SoundClass(2.0, 6.0, 0.1, lambda rng, n: _siren(rng, n, rng.uniform(2.0, 4.0))),
    "chime_rising": SoundClass(1.2, 2.4, 0.12, lambda rng, n: _chime(rng, n, True)),
    "chime_falling": SoundClass(1.2, 2.4, 0.08, lambda rng, n: _chime(rng, n, False)),
}


@dataclass(frozen=True)
class GeneratedSound:
    """A sound of one class, drawn anew each time; see `efficient_sed.data.mixing.place.Sound`."""

    label: str

    def duration_s(self, rng: Rng) -> float:
        """How long it lasts."""
        return rng.uniform(SOUND_CLASSES[self.label].min_s, SOUND_CLASSES[self.label].max_s)

    def samples(self, rng: Rng, count: int) -> np.ndarray:
        """Samples at 16 kHz, shape (count,), float64."""
        return SOUND_CLASSES[self.label].synthesise(rng, count)
