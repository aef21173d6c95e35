"""PSDS as a metric of runs: by the back end that a run asks for, with confidence intervals if that is the exact one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from efficient_sed.data.events import Event
from efficient_sed.metrics.contracts import METRICS, ClipMetric, Score, Setting
from efficient_sed.metrics.psds.back_ends import PsdsBackEnd, create_back_end
from efficient_sed.metrics.psds.clips import report_psds
from efficient_sed.metrics.psds.exact import PsdsAccumulator
from efficient_sed.metrics.psds.parameters import PsdsParameters


def _scores(key: str, name: str, title: str) -> tuple[Score, Score]:
    """The plain mean over classes, and the value with the penalty for unequal classes."""
    penalised = (
        f"{title} with penalty for unequal classes" if key != "psds" else f"{title} and penalty for unequal classes"
    )
    return (
        Score(f"{key}_macro", f"{name} macro", f"{title}, macro", most=1.0, tuned_column="tuned", lead=1),
        Score(key, name, penalised, most=1.0, column="with alpha_st"),
    )


@METRICS.register("psds")
class PsdsMetric(ClipMetric):
    """Polyphonic sound detection score; its entries are named by its parameters: psds1, psds2, else psds."""

    rank = 1
    scores = (
        *_scores("psds1", "PSDS1", "PSDS1"),
        *_scores("psds2", "PSDS2", "PSDS2"),
        *_scores("psds", "PSDS", "PSDS with other parameters"),
    )

    def __init__(self, back_end: PsdsBackEnd) -> None:
        self.back_end = back_end

    @classmethod
    def create(cls, setting: Setting) -> Self:
        """An empty one by the run's back end.

        Raises:
            MissingDependencyError: If its package is not installed.
        """
        config = setting.config
        parameters, hop_s = PsdsParameters.of(config), setting.grid.hop_s
        arguments = (setting.classes, setting.durations, hop_s, parameters)
        return cls(create_back_end(config.back_end, *arguments, keeps_clips=setting.keeps_clips))

    def update(self, clip_id: str, scores: np.ndarray, events: Sequence[Event], duration_s: float) -> None:
        """Take in a clip: scores (frames, classes), its events and length in seconds."""
        self.back_end.update(clip_id, scores, events, duration_s)

    def merge(self, other: PsdsMetric) -> None:
        """Take over the clips of another process."""
        self.back_end.merge(other.back_end)

    def metrics(self) -> dict[str, Any]:
        """PSDS, its plain mean over classes, and the value of each class.

        Raises:
            DataError: If there is no event in the ground truth.
        """
        return self.back_end.compute().metrics()

    def report(self, variant: Mapping[str, Any], folder: Path | None) -> dict[str, Any]:
        """Confidence interval of the plain mean; counts by clip and the PSD-ROC go into the folder."""
        return report_psds(self.back_end, variant, folder) if isinstance(self.back_end, PsdsAccumulator) else {}
