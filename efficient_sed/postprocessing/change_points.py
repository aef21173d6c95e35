"""Change-detection-based sound event bounding boxes (cSEBBs).

Ebbers, Germain, Wichern, Le Roux, "Sound Event Bounding Boxes", Interspeech 2024, https://arxiv.org/abs/2406.04212.
Written from the paper. Sums are exact here: scores are rounded to 2^-30 and times to 1/1024 of a frame, so that where
the filter's output stays level it is level.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from efficient_sed.machine.compile import is_worth_compiling
from efficient_sed.postprocessing.contract import Method, Value
from efficient_sed.postprocessing.stream import LIVE_CONTEXT_S
from efficient_sed.registry import POSTPROCESSING

STEPS_S, ABSOLUTE, RELATIVE = (0.48, 0.32, 0.64), (0.15, 0.2, 0.3), (1.5, 2.0, 3.0)  # the paper's grid
PLAIN_S = 20e-6  # a score, where the loops are not compiled


class Boxes(NamedTuple):
    """Events with one confidence: arrays with an entry a box, by class and time."""

    column: np.ndarray
    onset_s: np.ndarray
    offset_s: np.ndarray
    confidence: np.ndarray
    """Mean score inside."""


@POSTPROCESSING.register("change_points")
@dataclass(frozen=True)
class ChangePoints(Method):
    """An event lasts from a local maximum to the next local minimum of a step filter over the scores of a class.

    The filter compares the mean of the next half step with that of the last. Neighbours are one event where the gap
    between them is shallow, by both measures.
    """

    step_s: Value = 0.48
    """Seconds under the filter."""
    absolute: Value = math.inf
    """A gap parts where the largest score of a neighbour exceeds the least one in the gap by this much."""
    relative: Value = 2.0
    """The same as a ratio, 0.001 added to both."""

    is_bounded: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self.require_each("step_s", lambda step_s: 0 < step_s <= 60, "above 0 s, at most 60 s")
        self.require_each("absolute", lambda absolute: absolute >= 0, "0 or more, inf for no limit")
        self.require_each("relative", lambda relative: relative >= 1, "1 or more, inf for no limit")

    def apply(self, scores: np.ndarray, hop_s: float) -> np.ndarray:
        """As `Method.apply`: a box's confidence in the frames whose centre it covers, and 0 elsewhere.

        A box ends within a frame only where half a step is no whole number of frames; `boxes` has the exact times.
        """
        from efficient_sed.postprocessing._change_points import paint_boxes

        curves = np.zeros(scores.shape, np.float64)
        paint_boxes(*self._merge(self._segments(scores, hop_s)), curves)
        return curves.astype(scores.dtype)

    def boxes(self, scores: np.ndarray, hop_s: float) -> Boxes:
        """Events with exact times.

        Args:
            scores: Frame scores in [0, 1] without NaN, shape (frames, classes).
            hop_s: Seconds of a frame.
        """
        return _timed(*self._merge(self._segments(scores, hop_s)), hop_s)

    def look_ahead_s(self, hop_s: float) -> float:
        """As `Method.look_ahead_s`: half a step, and an event of `LIVE_CONTEXT_S` with what it is compared with."""
        return max(self.step_s if isinstance(self.step_s, tuple) else (self.step_s,)) / 2 + LIVE_CONTEXT_S

    @classmethod
    def grid(cls, hop_s: float) -> list[Self]:  # noqa: ARG003 (candidates are in seconds)
        """As `Method.grid`: the paper's."""
        limits = [(math.inf, relative) for relative in RELATIVE] + [(absolute, math.inf) for absolute in ABSOLUTE]
        return [cls(step_s, *limit) for step_s, limit in itertools.product(STEPS_S, limits)]

    def _segments(self, scores: np.ndarray, hop_s: float) -> tuple[Any, ...]:
        from efficient_sed.postprocessing._change_points import PARTS, cut_segments

        is_worth_compiling(PLAIN_S * scores.size)
        halves = np.rint(self.by_class("step_s", scores.shape[1]) * (PARTS / 2 / hop_s)).astype(np.int64)
        segments: tuple[Any, ...] = cut_segments(np.ascontiguousarray(scores.T, dtype=np.float64), halves)
        return segments

    def _merge(self, segments: tuple[Any, ...]) -> tuple[np.ndarray, np.ndarray]:
        from efficient_sed.postprocessing._change_points import merge_segments

        num_classes = len(segments[0]) - 1
        limits = (np.array(self.by_class(name, num_classes)) for name in ("absolute", "relative"))
        return merge_segments(*segments, *limits)


def _timed(boxes: np.ndarray, means: np.ndarray, hop_s: float) -> Boxes:
    from efficient_sed.postprocessing._change_points import PARTS

    column, begin, end = boxes.T
    return Boxes(column, begin * (hop_s / PARTS), end * (hop_s / PARTS), means)
