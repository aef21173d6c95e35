"""Folders of isolated sounds: tones, each file of a frequency of its own, with silence around them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

LEAD_S, TONE_S, TAIL_S = 0.3, 0.4, 0.2
LOWEST_HZ, STEP_HZ = 600, 100


def tone(hz: float, seconds: float = TONE_S, rate: int = 16_000) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def write_sound(path: Path, hz: float, rate: int = 16_000, channels: int = 1, seconds: float = TONE_S) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = tone(hz, seconds, rate)
    padded = np.concatenate([np.zeros(round(LEAD_S * rate)), sound, np.zeros(round(TAIL_S * rate))])
    soundfile.write(path, np.stack([padded] * channels, axis=1), rate)


def write_sounds(folder: Path, labels: tuple[str, ...] = ("cat", "dog"), each: int = 5, first: int = 0) -> Path:
    """`folder`/LABEL/N.wav; the n-th file of all is a tone of 600 Hz + n * 100 Hz."""
    for number in range(len(labels) * each):
        label = labels[number // each]
        write_sound(folder / label / f"{number}.wav", LOWEST_HZ + STEP_HZ * (first + number))
    return folder


def strongest_hz(samples: np.ndarray, rate: int = 16_000) -> float:
    """Frequency of the highest peak of a spectrum."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * rate / len(samples))
