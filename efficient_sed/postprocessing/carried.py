"""What a model carries from its tuning: how its scores become scores for PSDS, and events."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from efficient_sed.errors import require
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
            require(0 < threshold < 1, "thresholds", threshold, "above 0, below 1")

    @classmethod
    def untuned(cls, median_frames: int) -> Postprocessing:
        """One window for all classes, and no thresholds: what models have before they are tuned."""
        chain = Chain((Median(median_frames),)) if median_frames > 1 else Chain()
        return cls(chain, chain)

    @classmethod
    def of(cls, stored: Mapping[str, Any], median_frames: int, num_classes: int) -> Postprocessing:
        """What a model file stores, or where it stores nothing, that of its window.

        Raises:
            ConfigError: If it is damaged or of another number of classes.
        """
        if not stored:
            return cls.untuned(median_frames)
        require(isinstance(stored, Mapping), "postprocessing", stored, "a table")
        thresholds = stored.get("thresholds")
        require(thresholds is None or isinstance(thresholds, list | tuple), "thresholds", thresholds, "a list, or null")
        chains = (Chain.from_list(stored.get(key, ())) for key in ("scores", "events"))
        levels = None if thresholds is None else tuple(map(float, thresholds))
        own = cls(*chains, levels, stored.get("hop_s"), stored.get("notes", {}))
        own.check(num_classes)
        return own

    def check(self, num_classes: int) -> None:
        """Raise a ConfigError unless parameters fit a model's number of classes."""
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
        """Plain values, the inverse of `of`."""
        return {
            "scores": self.scores.to_list(),
            "events": self.events.to_list(),
            "thresholds": None if self.thresholds is None else list(self.thresholds),
            "hop_s": self.hop_s,
            "notes": dict(self.notes),
        }
