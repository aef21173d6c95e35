"""Options of mixed scenes: how many sounds, how loud, and how they are changed. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass

from efficient_sed.config.data import DataConfig
from efficient_sed.config.values import WHOLE
from efficient_sed.errors import require

MAX_EVENTS, MAX_POLYPHONY = 1000, 100
MAX_REVERB_S = 5.0
LEAST_EVENT_S = 0.01


@dataclass(frozen=True)
class MixingConfig(DataConfig):
    """What a scene is made of. A "share" is 0 to 1; a "change" is a largest relative one, 0 to 0.5 in steps of 0.05."""

    min_events: int = 1
    """Fewest events of a scene that has any, 1 or more."""
    max_events: int = 5
    """Most events of a scene, up to 1000; one that finds no place is left out."""
    max_polyphony: int = 3
    """Events at once, 1 to 100; two of one class are never at once, and 0.3 s apart."""
    silence_share: float = 0.1
    """Share of scenes without an event."""
    min_event_seconds: float = 0.02
    """Sounds that are shorter after trimming are left out, with a note; 0.01 or more."""
    max_event_seconds: float | None = None
    """Longest event in seconds: of a longer sound each scene has an excerpt. Default null: data.clip_seconds."""
    trim_db: float | None = 25.0
    """Sounds begin and end where their level (of 10 ms) first and last comes within so many dB of their loudest 10 ms;
    events are what is left. Above 0; null trims nothing. With 40 the tails of struck and plucked sounds are events
    where the background hides them."""
    min_snr_db: float = 0.0
    """Lowest ratio of an event's mean power to that of the background in dB; negatives have it, too."""
    max_snr_db: float = 25.0
    """Highest such ratio in dB."""
    min_level_db: float = -20.0
    """Lowest peak of a scene in dB of full scale."""
    max_level_db: float = -3.0
    """Highest peak of a scene in dB of full scale, at most 0."""
    speed_change: float = 0.1
    """Change of a sound's speed and pitch together, by resampling: 0.1 draws factors of 0.9 to 1.1."""
    time_stretch: float = 0.0
    """Change of a sound's length at the same pitch, by a phase vocoder, which takes longer than all else in a scene."""
    pitch_shift: float = 0.0
    """Change of a sound's pitch at the same length, by the same."""
    reverb_share: float = 0.2
    """Share of scenes whose sounds are in a room: noise that decays exponentially follows each. Events stay as long as
    the sounds without it."""
    max_reverb_seconds: float = 0.6
    """Longest reverberation time (in which it decays by 60 dB) of such a room in seconds; above 0.1, at most 5."""
    max_negatives: int = 2
    """Most sounds of data.negatives in a scene, 0 to 1000; their number is drawn from 0 up."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_counts()
        self._check_ranges()
        for name in ("silence_share", "reverb_share"):
            require(0 <= getattr(self, name) <= 1, f"data.{name}", getattr(self, name), "0 to 1")
        for name in ("speed_change", "time_stretch", "pitch_shift"):
            value = getattr(self, name)
            is_step = abs(20 * value - round(20 * value)) < WHOLE
            require(0 <= value <= 0.5 and is_step, f"data.{name}", value, "0 to 0.5 in steps of 0.05")
        seconds = self.max_reverb_seconds
        require(
            0.1 < seconds <= MAX_REVERB_S, "data.max_reverb_seconds", seconds, f"above 0.1, at most {MAX_REVERB_S:g}"
        )
        trim = self.trim_db
        require(trim is None or trim > 0, "data.trim_db", trim, "above 0 dB, or null for no trimming")

    def _check_counts(self) -> None:
        for name, least, most in (
            ("max_events", 1, MAX_EVENTS),
            ("min_events", 1, self.max_events),
            ("max_polyphony", 1, MAX_POLYPHONY),
            ("max_negatives", 0, MAX_EVENTS),
        ):
            value, named = getattr(self, name), "data.max_events=" if name == "min_events" else ""
            require(least <= value <= most, f"data.{name}", value, f"{least} to {named}{most}")

    def _check_ranges(self) -> None:
        shortest, longest = self.min_event_seconds, self.longest_event_s
        is_length = LEAST_EVENT_S <= shortest <= longest
        require(is_length, "data.min_event_seconds", shortest, f"{LEAST_EVENT_S} to {longest:g} s, the longest event")
        is_inside = longest <= self.clip_seconds
        require(is_inside, "data.max_event_seconds", longest, f"at most data.clip_seconds={self.clip_seconds:g}")
        for name in ("snr_db", "level_db"):
            low, high = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            require(low <= high, f"data.min_{name}", low, f"at most data.max_{name}={high:g}")
        require(self.max_level_db <= 0, "data.max_level_db", self.max_level_db, "at most 0 dB")

    @property
    def longest_event_s(self) -> float:
        """Of an event, in seconds."""
        return self.clip_seconds if self.max_event_seconds is None else self.max_event_seconds
