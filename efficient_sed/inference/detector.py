"""What detection needs of a model, whatever computes its scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.errors import ConfigError
from efficient_sed.postprocessing.carried import Postprocessing

ScoreNew = Callable[[np.ndarray, int, int], np.ndarray]
"""Scores (frames, classes) of the output frames `first` to `until` of a window of sound (1, samples).

Calls follow one another: `first` is the frame at which the call before ended.
"""


class Detector(Protocol):
    """A model as detection uses it: `TorchDetector`, `ExportedModel` or a class of your own."""

    classes: list[str]
    """Labels in the order of the scores."""
    grid: FrameGrid
    clip_seconds: float
    """Length of the windows that recordings are cut into, in seconds."""
    median_frames: int
    """Window of the median filter that its scores were evaluated with, in frames."""
    # A tuned one has `postprocessing: Postprocessing` besides; see `postprocessing_of`.

    def score_frames(self, waveform: np.ndarray) -> np.ndarray:
        """Score every frame.

        Args:
            waveform: Shape (batch, samples), float32, at the grid's sample rate.

        Returns:
            Probabilities, shape (batch, frames, classes).
        """


def postprocessing_of(detector: Detector) -> Postprocessing:
    """What a detector was tuned to; that of its window where it says nothing of it."""
    own: Postprocessing | None = getattr(detector, "postprocessing", None)
    return Postprocessing.untuned(detector.median_frames) if own is None else own


def check_task(task: str) -> None:
    """Refuse models without trained frame scores.

    Raises:
        ConfigError: If the task is not "detection".
    """
    if task != "detection":
        raise ConfigError(
            "the model was trained on clip labels only: its frame scores are random; "
            "fine-tune it first, as backbone.init=NAME of a training"
        )
