"""Events that start at a high and end at a low threshold, with a shortest length and a largest gap that is joined."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from efficient_sed.machine.compile import is_worth_compiling
from efficient_sed.postprocessing.contract import Method, Value
from efficient_sed.postprocessing.events import compilable
from efficient_sed.postprocessing.stream import LIVE_CONTEXT_S
from efficient_sed.registry import POSTPROCESSING

PLAIN_S = 5e-6  # a score, where the loops are not compiled


@POSTPROCESSING.register("hysteresis")
@dataclass(frozen=True)
class Hysteresis(Method):
    """Done on scores, so that it holds at every threshold t.

    An event starts in a frame that reaches t and goes on where `score / low` reaches it; then gaps between events of at
    most `max_gap_s` are joined, not those at the borders of a clip; then events shorter than `min_event_s` are dropped.
    """

    low: Value = 0.5
    """Share of the threshold at which an event goes on, above 0; 1 for a single threshold."""
    min_event_s: Value = 0.0
    """Seconds of the shortest event."""
    max_gap_s: Value = 0.0
    """Seconds of the largest gap that is joined."""

    is_bounded: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self.require_each("low", lambda low: 0 < low <= 1, "above 0, at most 1")
        for name in ("min_event_s", "max_gap_s"):
            self.require_each(name, lambda seconds: 0 <= seconds <= 60, "0 to 60 s")

    def apply(self, scores: np.ndarray, hop_s: float) -> np.ndarray:
        """As `Method.apply`; a frame of no event has 0."""
        from efficient_sed.postprocessing._hysteresis import apply_hysteresis

        is_worth_compiling(PLAIN_S * scores.size)
        rows = compilable(scores.T)
        gaps, lengths = self._frames(scores.shape[1], hop_s)
        low = np.array(self.by_class("low", scores.shape[1]), rows.dtype)
        return np.asarray(apply_hysteresis(rows, low, gaps, lengths).T.astype(scores.dtype, order="C"))

    def look_ahead_s(self, hop_s: float) -> float:
        """As `Method.look_ahead_s`: gap and shortest event, and below a low of 1 an event of `LIVE_CONTEXT_S`."""
        lows, events, gaps = (value if isinstance(value, tuple) else (value,) for value in self.values().values())
        return max(gaps) + max(events) + (LIVE_CONTEXT_S if min(lows) < 1 else 0)

    @classmethod
    def grid(cls, hop_s: float) -> list[Self]:  # noqa: ARG003 (candidates are in seconds)
        """As `Method.grid`."""
        return [cls(*values) for values in itertools.product((1.0, 0.7, 0.4), (0.0, 0.12, 0.24), (0.0, 0.2, 0.4))]

    def _frames(self, num_classes: int, hop_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Frames of the largest gap and of the shortest event, rounded at a millionth of a frame."""
        gaps, events = (np.round(self.by_class(name, num_classes) / hop_s, 6) for name in ("max_gap_s", "min_event_s"))
        return np.floor(gaps).astype(np.int64), np.maximum(1, np.ceil(events)).astype(np.int64)
