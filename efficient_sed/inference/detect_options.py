"""How events are found: what a user chose, and what that means for a model."""

from __future__ import annotations

import os
from dataclasses import dataclass
from numbers import Integral, Real
from typing import NamedTuple

from efficient_sed.audio.encoded import parse_channel
from efficient_sed.config.data import require_median
from efficient_sed.errors import require
from efficient_sed.inference.detector import Detector, postprocessing_of
from efficient_sed.postprocessing.carried import DEFAULT_THRESHOLD, Postprocessing
from efficient_sed.postprocessing.contract import Chain
from efficient_sed.postprocessing.file import PostprocessingFile, read_postprocessing
from efficient_sed.postprocessing.thresholds import AUTO, ThresholdChoice, check_threshold, class_thresholds

NONE = "none"
PostprocessingChoice = str | os.PathLike[str] | Postprocessing | PostprocessingFile


class EventRule(NamedTuple):
    """How the scores of a model become events."""

    chain: Chain
    thresholds: tuple[float, ...]
    """One a class."""
    note: str = ""
    """Where thresholds come from that the user did not give; empty if there are none."""


@dataclass(frozen=True)
class DetectOptions:
    """How events are found.

    Raises:
        ConfigError: If a value is not allowed.
    """

    threshold: ThresholdChoice = AUTO
    """A frame is active from this probability on, in (0, 1): one for all classes, or some by label, with "default" for
    the others. Default "auto": those that the model was tuned to, 0.5 where it was not."""
    median_frames: int | None = None
    """Window of a median filter in frames, odd, 1 for no filter, which takes the place of the model's post-processing
    and of its thresholds; default None, the model's own."""
    hop_s: float | None = None
    """Seconds from one window of a long file to the next, half a window to a whole one; where windows overlap, their
    scores are cross-faded. Default None, four fifths of a window."""
    channel: str | int = "mix"
    """Channel of the file: mix (the mean of all), first, or a number from 1."""
    postprocessing: PostprocessingChoice = AUTO
    """From scores to events: "auto", the model's own; "none", scores as they are; a `Postprocessing`; or a file that
    `efficient-sed tune --output` wrote."""

    def __post_init__(self) -> None:
        parse_channel(self.channel)
        check_threshold(self.threshold)
        if self.median_frames is not None:
            is_whole = isinstance(self.median_frames, Integral)
            require(is_whole, "median_frames", self.median_frames, "a whole number of frames")
            require_median("median_frames", self.median_frames)
            is_alone = self.postprocessing == AUTO
            require(
                is_alone, "median_frames", self.median_frames, "it is a post-processing itself; give one of the two"
            )
        require(self.hop_s is None or isinstance(self.hop_s, Real), "hop_s", self.hop_s, "a number of seconds")
        is_path = isinstance(self.postprocessing, str | os.PathLike) and self.postprocessing not in (AUTO, NONE)
        if is_path:
            object.__setattr__(self, "postprocessing", read_postprocessing(str(self.postprocessing)))

    def rule(self, detector: Detector) -> EventRule:
        """What they mean for a model.

        Raises:
            ConfigError: If a class is unknown to it, or the post-processing is for other classes or another frame.
        """
        own = self._postprocessing(detector)
        given = class_thresholds(self.threshold, detector.classes)
        others = own.thresholds or (DEFAULT_THRESHOLD,) * len(given)
        thresholds = tuple(other if value is None else value for value, other in zip(given, others, strict=True))
        left = [other for value, other in zip(given, others, strict=True) if value is None]
        is_replaced = own.thresholds is None and postprocessing_of(detector).thresholds is not None
        why = "the tuned ones belong to the model's own post-processing" if is_replaced else "none were tuned"
        return EventRule(own.events, thresholds, _note(own, left, len(given), why))

    def _postprocessing(self, detector: Detector) -> Postprocessing:
        chosen = self.postprocessing
        if self.median_frames is not None:
            return Postprocessing.untuned(self.median_frames)
        if isinstance(chosen, PostprocessingFile):
            return chosen.for_model(detector.classes, detector.grid.hop_s)
        if isinstance(chosen, Postprocessing):
            chosen.check(len(detector.classes), detector.grid.hop_s)
            return chosen
        return Postprocessing() if chosen == NONE else postprocessing_of(detector)


def _note(own: Postprocessing, left: list[float], num_classes: int, why_default: str) -> str:
    """Where the thresholds of the classes come from that were left to it."""
    if not left:
        return ""
    which = "" if len(left) == num_classes else "other classes: "
    if own.thresholds is None:
        return f"{which or 'all classes: '}threshold {DEFAULT_THRESHOLD:g}, since {why_default}"
    data = " on {data}/{part}".format_map(own.notes) if {"data", "part"} <= own.notes.keys() else ""
    span = " to ".join(dict.fromkeys(f"{level:.2g}" for level in (min(left), max(left))))
    return f"{which}thresholds tuned for event F1{data}: {span}"
