"""How long the events of a data set are, and which window and clip length suit them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from efficient_sed.config.data import MAX_MEDIAN_FRAMES
from efficient_sed.config.values import MAX_CLIP_SECONDS
from efficient_sed.data.events import Clip
from efficient_sed.data.storage.columns import durations, iterate_blocks

FEW_EVENTS = 10
"""A class with fewer has no say in what is proposed, unless all have."""
SHORT_CLIP_S = 10.0
"""Clips that long hold enough around an event; a longer one must be needed."""


class Lengths(NamedTuple):
    """Lengths of the events of a class in seconds."""

    num_events: int
    short_s: float
    """A tenth of them are shorter."""
    median_s: float
    long_s: float
    """A tenth of them are longer."""


class Proposal(NamedTuple):
    """Values of options that suit the lengths of events, and why."""

    option: str
    value: float
    reason: str

    def line(self) -> str:
        """As a command prints it."""
        return f"{self.option}={self.value:g} suits these events: {self.reason}"


def event_lengths(clips: Sequence[Clip], classes: Sequence[str]) -> dict[str, Lengths]:
    """Lengths of events by class; classes without any are left out."""
    numbers: dict[str, int] = {label: number for number, label in enumerate(classes)}
    labels, lengths_s = [np.zeros(0, np.int64)], [np.zeros(0)]
    for block in iterate_blocks(clips, numbers):
        labels.append(block.label)
        lengths_s.append(block.offset_s - block.onset_s)
    label, length_s = np.concatenate(labels), np.concatenate(lengths_s)
    found = {}
    for number, name in enumerate(classes):
        if len(own := length_s[label == number]):
            found[name] = Lengths(len(own), *map(float, np.percentile(own, (10, 50, 90))))
    return found


def propose(clips: Sequence[Clip], lengths: Mapping[str, Lengths], hop_s: float) -> list[Proposal]:
    """Window of the median filter and length of training clips that suit the events of the training part.

    The window is no longer than nine tenths of the events of every class, so that it erases none but the shortest: the
    filter takes what is shorter than half of it. Clips hold nine tenths of the events of every class twice over.

    Args:
        clips: Of the training part.
        lengths: By class.
        hop_s: Seconds of a frame of the model.
    """
    if not lengths:
        return []
    many = {label: own for label, own in lengths.items() if own.num_events >= FEW_EVENTS} or lengths
    short, short_s = min(((label, own.short_s) for label, own in many.items()), key=lambda pair: pair[1])
    frames = 2 * math.floor((short_s / hop_s - 1) / 2 + 1e-9) + 1
    frames = min(max(1, frames), MAX_MEDIAN_FRAMES)
    share = f"a tenth of {short!r} last less than {short_s:.2g} s"
    window = f"{share}, and a window of {frames * hop_s:.2g} s erases what is shorter than half of it"
    if frames == 1:
        window = f"{share}, and any filter would erase some"
    long, long_s = max(((label, own.long_s) for label, own in many.items()), key=lambda pair: pair[1])
    file_s = float(np.percentile(durations(clips), 90))
    seconds = math.ceil(round(min(file_s, max(SHORT_CLIP_S, 2 * long_s)), 3))
    events = (
        f"nine tenths of the files last at most {file_s:.3g} s, and of {long!r}, the longest, at most {long_s:.3g} s"
    )
    return [
        Proposal("data.median_frames", frames, window),
        Proposal("data.clip_seconds", min(max(1, seconds), MAX_CLIP_SECONDS), events),
    ]
