"""Excerpts of recordings that a model is least sure of, which a person's labels help most (uncertainty sampling).

Lewis and Gale 1994, "A sequential algorithm for training text classifiers"; `doubts` has the criterion.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from efficient_sed.data.events import Event
from efficient_sed.inference.detect_one import Found
from efficient_sed.inference.doubts import Doubt
from efficient_sed.inference.recordings import Recording

MARGIN_S = 2.0  # of sound on both sides of an excerpt that is written; margins do not overlap
SHORTEST_S = 0.001  # of a part of an event that reaches into an excerpt
FEWEST_EACH = 3
"""Excerpts that one recording may have, however few are asked for."""


class Excerpt(NamedTuple):
    """A doubtful stretch of a recording."""

    recording: Recording
    doubt: Doubt
    events: tuple[Event, ...]
    """Detected events that reach into it, and what was not found but nearly; times in the recording."""

    @property
    def start_s(self) -> float:
        """Where it begins, with its margin."""
        return max(0.0, self.doubt.event.onset_s - MARGIN_S)

    @property
    def end_s(self) -> float:
        """Where it ends, with its margin."""
        return min(self.recording.duration_s, self.doubt.event.offset_s + MARGIN_S)

    @property
    def clip(self) -> Path:
        """Name of its sound, relative to the folder of all of them."""
        output = self.recording.output
        return output.with_name(f"{output.name}_{self.start_s:.2f}s.flac")

    def clip_events(self) -> list[Event]:
        """`events` cut to the excerpt, with times from its start."""
        length_s, moved = self.end_s - self.start_s, []
        for event in self.events:
            onset_s, offset_s = max(0.0, event.onset_s - self.start_s), min(length_s, event.offset_s - self.start_s)
            moved.append(event._replace(onset_s=onset_s, offset_s=offset_s))
        return sorted(moved)


def choose_excerpts(found: Sequence[Found], number: int) -> tuple[list[Excerpt], int]:
    """The most doubtful excerpts of all recordings, the most doubtful one first.

    No recording gives more than twice its share of them, or `FEWEST_EACH`; of one recording no two overlap, with their
    margins.

    Args:
        found: What was found in each recording, with doubts.
        number: How many excerpts.

    Returns:
        The excerpts, and how many one recording may give.
    """
    most = max(FEWEST_EACH, math.ceil(2 * number / max(1, len(found))))
    chosen = [excerpt for each in found for excerpt in _of_recording(each, most)]
    return sorted(chosen, key=lambda excerpt: -excerpt.doubt.entropy)[:number], most


def _of_recording(found: Found, most: int) -> list[Excerpt]:
    chosen: list[Excerpt] = []
    for doubt in sorted(found.doubts, key=lambda doubt: (-doubt.entropy, doubt.event)):
        excerpt = Excerpt(found.recording, doubt, ())
        if all(excerpt.end_s <= other.start_s or other.end_s <= excerpt.start_s for other in chosen):
            inside = [event for event in found.events if _overlaps(event, excerpt)]
            chosen.append(excerpt._replace(events=tuple(inside if doubt.is_found else [*inside, doubt.event])))
            if len(chosen) == most:
                break
    return chosen


def read_clip(excerpt: Excerpt, channel: str | int) -> bytes:
    """The sound of an excerpt with its margin as FLAC, one channel at the recording's own rate.

    Args:
        excerpt: Which.
        channel: Channel of the file: mix (the mean of all), first, or a number from 1.

    Raises:
        DataError: If the recording cannot be read.
    """
    from efficient_sed.audio.encoded import parse_channel
    from efficient_sed.audio.flac import encode_flac
    from efficient_sed.audio.io import AudioReader, audio_info

    rate = audio_info(excerpt.recording.path).sample_rate
    with AudioReader(excerpt.recording.path, sample_rate=rate, channel=parse_channel(channel)) as reader:
        samples = reader.read(excerpt.start_s, excerpt.end_s - excerpt.start_s)
    return encode_flac(samples, rate)


def _overlaps(event: Event, excerpt: Excerpt) -> bool:
    first_s, last_s = max(event.onset_s, excerpt.start_s), min(event.offset_s, excerpt.end_s)
    return last_s - first_s > SHORTEST_S
