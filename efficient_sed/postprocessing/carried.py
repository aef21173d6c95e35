"""What a model carries from its tuning: how its scores become scores for PSDS, and events."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from efficient_sed.errors import ConfigError, nearest, require
from efficient_sed.postprocessing.contract import Chain
from efficient_sed.postprocessing.median import Median

DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True)
class Postprocessing:
    """Methods and thresholds, stored in model files and exported ones as plain values."""

    scores: Chain = field(default_factory=Chain)
    """For metrics over all thresholds, such as PSDS."""
    events: Chain = field(default_factory=Chain)
    """For events at thresholds."""
    thresholds: tuple[float, ...] | None = None
    """One a class; None where they were not tuned."""
    hop_s: float | None = None
    """Seconds of a frame that it was tuned on; None where it was not."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What it was chosen for, and on which data."""

    def __post_init__(self) -> None:
        for threshold in self.thresholds or ():
            require(_is_number(threshold) and 0 < threshold < 1, "thresholds", threshold, "above 0, below 1")

    @classmethod
    def untuned(cls, median_frames: int) -> Postprocessing:
        """One window for all classes, and no thresholds: what models have before they are tuned."""
        chain = Chain((Median(median_frames),)) if median_frames > 1 else Chain()
        return cls(chain, chain)

    @classmethod
    def of(
        cls, stored: Mapping[str, Any], median_frames: int, num_classes: int, hop_s: float | None = None
    ) -> Postprocessing:
        """What a model file stores, or where it stores nothing, that of its window.

        Args:
            stored: Plain values, as `to_dict` gives them.
            median_frames: The model's window, for a model that stores nothing.
            num_classes: Of the model.
            hop_s: Seconds of its frame; default None, any.

        Raises:
            ConfigError: If it is damaged, or of another number of classes or another frame.
        """
        if not stored:
            return cls.untuned(median_frames)
        own = cls.from_dict(stored)
        own.check(num_classes, hop_s)
        return own

    @classmethod
    def from_dict(cls, stored: Any) -> Postprocessing:
        """The inverse of `to_dict`.

        Raises:
            ConfigError: If it is none: a key, a method or a parameter that is unknown or not allowed.
        """
        require(isinstance(stored, Mapping), "postprocessing", stored, "a table")
        known = [item.name for item in dataclasses.fields(cls)]
        for key in stored:
            if key not in known:
                raise ConfigError(f"unknown key postprocessing.{key}; {nearest(key, known)}")
        thresholds, hop_s, notes = stored.get("thresholds"), stored.get("hop_s"), stored.get("notes", {})
        require(thresholds is None or isinstance(thresholds, list | tuple), "thresholds", thresholds, "a list, or null")
        require(hop_s is None or (_is_number(hop_s) and hop_s > 0), "hop_s", hop_s, "seconds above 0, or null")
        require(isinstance(notes, Mapping), "notes", notes, "a table")
        scores, events = (Chain.from_list(stored.get(key, ())) for key in ("scores", "events"))
        return cls(scores, events, None if thresholds is None else tuple(thresholds), hop_s, notes)

    def check(self, num_classes: int, hop_s: float | None = None) -> None:
        """Raise a ConfigError unless parameters fit a model's number of classes, and its frame if that is given."""
        is_on_grid = hop_s is None or self.hop_s is None or math.isclose(self.hop_s, hop_s, rel_tol=1e-6)
        require(is_on_grid, "hop_s", self.hop_s, f"{hop_s} s, the model's frame")
        self.scores.check(num_classes)
        self.events.check(num_classes)
        num = num_classes if self.thresholds is None else len(self.thresholds)
        require(num == num_classes, "thresholds", f"{num} values", f"one for each of {num_classes} classes")

    def select(self, columns: Sequence[int]) -> Postprocessing:
        """The parameters of some classes."""
        chosen = None if self.thresholds is None else tuple(self.thresholds[column] for column in columns)
        return dataclasses.replace(
            self, scores=self.scores.select(columns), events=self.events.select(columns), thresholds=chosen
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the inverse of `from_dict`."""
        return {
            "scores": self.scores.to_list(),
            "events": self.events.to_list(),
            "thresholds": None if self.thresholds is None else list(self.thresholds),
            "hop_s": self.hop_s,
            "notes": dict(self.notes),
        }


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
