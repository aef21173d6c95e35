"""Scenes from banks of isolated sounds, each decided by a random stream alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.data.events import Event
from efficient_sed.data.mixing.bank import SoundBank, fitted
from efficient_sed.data.mixing.effects import Changes, add_room, draw_changes
from efficient_sed.data.mixing.noise import NoisePool
from efficient_sed.data.mixing.options import MixingConfig
from efficient_sed.data.mixing.place import Placed, Rng, Sound, add_sounds, place_sounds, set_level

CROSSFADE = SAMPLE_RATE // 20  # where a short background begins again
SILENT_POWER = 1e-4  # of an excerpt of a background, whose full scale is 32767; quieter ones are digital silence


@dataclass(frozen=True)
class DrawnSound:
    """A part of a bank's sound, and how it is changed; see `Sound`."""

    bank: SoundBank
    number: int
    first: int
    count: int
    changes: Changes

    @property
    def label(self) -> str:
        """Its class."""
        return self.bank.sounds[self.number].label

    def duration_s(self, rng: Rng) -> float:
        """How long it lasts."""
        return self.changes.new_count(self.count) / SAMPLE_RATE

    def samples(self, rng: Rng, count: int) -> np.ndarray:
        """Samples at 16 kHz, shape (count,), float32; times are rounded to milliseconds, so some may be zero."""
        return fitted(self.changes.apply(self.bank.read(self.number, self.first, self.count)), count)


class SceneMixer:
    """Mixes scenes of one part.

    Args:
        options: Of the scenes.
        sounds: With labels.
        background: Recordings; default None, coloured noise.
        negatives: Sounds that are no events; default None, none.
    """

    def __init__(
        self,
        options: MixingConfig,
        sounds: SoundBank,
        background: SoundBank | None = None,
        negatives: SoundBank | None = None,
    ) -> None:
        self.options, self.sounds, self.background, self.negatives = options, sounds, background, negatives
        self._noise = NoisePool()

    def events(self, rng: Rng) -> tuple[Event, ...]:
        """Events of the scene that `draw` makes from a random stream in the same state; nothing is mixed."""
        place_rng, _ = rng.spawn(2)
        return tuple(sorted(event for event, _ in self._placed(place_rng)))

    def draw(self, rng: Rng) -> tuple[np.ndarray, list[Event]]:
        """A scene: samples at 16 kHz, shape (samples,), float32 in [-1, 1], and its events in order.

        Raises:
            DataError: If a sound cannot be read.
        """
        place_rng, sound_rng = rng.spawn(2)
        own, count = self.options, round(self.options.clip_seconds * SAMPLE_RATE)
        sounds, snr_db = np.zeros(count, np.float32), (own.min_snr_db, own.max_snr_db)
        events = add_sounds(sound_rng, sounds, self._placed(place_rng), 1.0, snr_db)
        add_sounds(sound_rng, sounds, self._placed_negatives(place_rng), 1.0, snr_db)
        if sound_rng.random() < own.reverb_share:
            add_room(sound_rng, sounds, own.max_reverb_seconds)
        sounds += self._background(sound_rng, count)
        return set_level(sound_rng, sounds, (own.min_level_db, own.max_level_db)), sorted(events)

    def _placed(self, rng: Rng) -> Iterator[Placed]:
        own = self.options
        is_silent = rng.random() < own.silence_share
        count = 0 if is_silent else int(rng.integers(own.min_events, own.max_events + 1))
        sounds: Iterator[Sound] = (self._draw_sound(rng, self.sounds, own.longest_event_s) for _ in range(count))
        return place_sounds(rng, sounds, own.clip_seconds, own.max_polyphony)

    def _placed_negatives(self, rng: Rng) -> Iterator[Placed]:
        """They overlap events as they may, and one another never: all have the same label."""
        own, count = self.options, 0
        if self.negatives is not None:
            count = int(rng.integers(own.max_negatives + 1))
        sounds: Iterator[Sound] = (
            self._draw_sound(rng, self.negatives, own.longest_event_s) for _ in range(count) if self.negatives
        )
        return place_sounds(rng, sounds, own.clip_seconds, own.max_polyphony)

    def _draw_sound(self, rng: Rng, bank: SoundBank, longest_s: float) -> DrawnSound:
        """Any class as often as any other, and any sound of it."""
        numbers = bank.by_label[int(rng.integers(len(bank.by_label)))]
        number = numbers[int(rng.integers(len(numbers)))]
        changes, has = draw_changes(rng, self.options), bank.sounds[number].size
        count = min(has, changes.old_count(round(longest_s * SAMPLE_RATE)))
        first = int(rng.integers(has - count + 1)) if count < has else 0
        return DrawnSound(bank, number, first, count, changes)

    def _background(self, rng: Rng, count: int) -> np.ndarray:
        """Of mean power 1, shape (count,), float32."""
        if self.background is not None:
            number = int(rng.integers(len(self.background.sounds)))
            has = self.background.sounds[number].size
            first = int(rng.integers(max(0, has - count) + 1))
            samples = _repeated(self.background.read(number, first, min(has, count)), count)
            power = float(np.dot(samples, samples)) / count
            if power > SILENT_POWER:
                samples *= power**-0.5
                return samples
        return self._noise.draw(rng, count)


def _repeated(samples: np.ndarray, count: int) -> np.ndarray:
    """Samples of a shorter recording again and again, crossfaded, shape (count,)."""
    if len(samples) >= count:
        return samples
    fade = min(CROSSFADE, len(samples) // 2)
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    samples = samples.copy()
    period = len(samples) - fade
    samples[:fade] = samples[:fade] * ramp + samples[period:] * (1 - ramp)
    return np.resize(samples[:period], count)
