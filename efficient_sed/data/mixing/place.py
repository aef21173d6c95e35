"""Putting sounds into a scene: where they lie, how loud they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np

from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.data.events import Event

Rng = np.random.Generator
MIN_GAP_S = 0.3  # between events of one class, so that they stay apart on the frame grid
FADE_S = 0.005
NUM_TRIES = 8
MIN_POWER = 1e-12


class Sound(Protocol):
    """A sound that was drawn for a scene."""

    @property
    def label(self) -> str:
        """Its class."""

    def duration_s(self, rng: Rng) -> float:
        """How long it lasts; asked for at every try to find a place for it."""

    def samples(self, rng: Rng, count: int) -> np.ndarray:
        """Samples of its own at 16 kHz, shape (count,)."""


Placed = tuple[Event, Sound]


def place_sounds(rng: Rng, sounds: Iterable[Sound], seconds: float, max_polyphony: int) -> Iterator[Placed]:
    """Give each sound a place: polyphony stays within the limit, events of one class stay apart.

    Sounds are drawn, and their events yielded, one after another, so that all may use one random stream.

    Args:
        rng: Draws onsets.
        sounds: In any order; one that finds no place in eight tries is left out.
        seconds: Length of the scene.
        max_polyphony: Events at once.
    """
    active = np.zeros(int(seconds * SAMPLE_RATE), dtype=np.int8)
    events: list[Event] = []
    for sound in sounds:
        event = _find_place(rng, sound, seconds, active, events, max_polyphony)
        if event is None:
            continue
        yield event, sound
        active[sample_range(event)] += 1
        events.append(event)


def _find_place(
    rng: Rng, sound: Sound, seconds: float, active: np.ndarray, events: list[Event], max_polyphony: int
) -> Event | None:
    for _ in range(NUM_TRIES):
        duration = min(sound.duration_s(rng), seconds)
        onset = round(rng.uniform(0, seconds - duration), 3)
        event = Event(onset, round(onset + duration, 3), sound.label)
        where = sample_range(event)
        is_apart = all(
            e.label != event.label or event.offset_s + MIN_GAP_S < e.onset_s or e.offset_s + MIN_GAP_S < event.onset_s
            for e in events
        )
        if where.stop <= len(active) and is_apart and active[where].max() < max_polyphony:
            return event
    return None


def sample_range(event: Event) -> slice:
    """Samples of an event at 16 kHz."""
    return slice(round(event.onset_s * SAMPLE_RATE), round(event.offset_s * SAMPLE_RATE))


def add_sounds(
    rng: Rng, mix: np.ndarray, placed: Iterable[Placed], power: float, snr_db: tuple[float, float]
) -> list[Event]:
    """Add sounds to a scene in place.

    Args:
        rng: Draws signal-to-noise ratios, and what sounds draw.
        mix: The scene, shape (samples,).
        placed: Events with their sounds.
        power: Mean power of the background.
        snr_db: Lowest and highest ratio of a sound's own mean power to that of the background, in dB.

    Returns:
        The events, in the order of the sounds.
    """
    events = []
    for event, sound in placed:
        where = sample_range(event)
        samples = _faded(sound.samples(rng, where.stop - where.start))
        snr = 10 ** (rng.uniform(*snr_db) / 20)
        mix[where] += samples * float(snr * np.sqrt(power / max(np.mean(samples**2), MIN_POWER)))
        events.append(event)
    return events


def _faded(sound: np.ndarray) -> np.ndarray:
    n = min(int(FADE_S * SAMPLE_RATE), len(sound) // 4)
    ramp = np.linspace(0, 1, n, dtype=sound.dtype)
    sound[:n] *= ramp
    sound[len(sound) - n :] *= ramp[::-1]
    return sound


def set_level(rng: Rng, mix: np.ndarray, level_db: tuple[float, float]) -> np.ndarray:
    """Scale a scene to a peak of a random level in dB of full scale; shape (samples,), float32."""
    level = 10 ** (rng.uniform(*level_db) / 20)
    return (mix * float(level / np.abs(mix).max())).astype(np.float32, copy=False)
