"""PSDS as a metric of runs: by the back end that a run asks for, with confidence intervals if that is the exact one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from efficient_sed.data.events import Event
from efficient_sed.metrics.contracts import METRICS, ClipMetric, Score, Setting
from efficient_sed.metrics.psds.back_ends import PsdsBackEnd, create_back_end
from efficient_sed.metrics.psds.clips import CLIPS_FILE, report_psds
from efficient_sed.metrics.psds.exact import PsdsAccumulator
from efficient_sed.metrics.psds.parameters import PSDS2, PsdsParameters
from efficient_sed.metrics.psds.plot import ROC_FILE


def _scores(
    key: str, name: str, title: str, column: str = "with alpha_st", tuned_column: str = "tuned"
) -> tuple[Score, Score]:
    """The plain mean over classes, and the value with the penalty for unequal classes."""
    penalised = (
        f"{title} with penalty for unequal classes" if key != "psds" else f"{title} and penalty for unequal classes"
    )
    return (
        Score(f"{key}_macro", f"{name} macro", f"{title}, macro", most=1.0, tuned_column=tuned_column, lead=1),
        Score(key, name, penalised, most=1.0, column=column),
    )


def _energy_weighted(key: str, name: str) -> tuple[Score, ...]:
    """DCASE's weighting by energy, which `experiment/energy.py` computes."""
    return tuple(
        Score(f"{key}_ew_{phase}", f"EW-{name} {phase}", f"energy-weighted {name}, by energy of the {phase}")
        for phase in ("training", "test")
    )


_PSDS2_SCORES = (
    *_scores("psds2", "PSDS2", "PSDS2", column="PSDS2", tuned_column=""),
    *_energy_weighted("psds2", "PSDS2"),
)


@METRICS.register("psds")
class PsdsMetric(ClipMetric):
    """Polyphonic sound detection score by a run's parameters: entries are named psds1 with DCASE's, else psds."""

    rank = 1
    scores: ClassVar[tuple[Score, ...]] = (
        *_scores("psds1", "PSDS1", "PSDS1"),
        *_energy_weighted("psds1", "PSDS1"),
        *_PSDS2_SCORES,  # keeps its column's place
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
        return cls(_back_end(setting, PsdsParameters.of(setting.config)))

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
        if not isinstance(self.back_end, PsdsAccumulator):
            return {}
        return report_psds(self.back_end, variant, folder, CLIPS_FILE, ROC_FILE)


@METRICS.register("psds2")
class Psds2Metric(PsdsMetric):
    """PSDS2 of DCASE beside it: which sounds are there, hardly when, and taking one class for another costs."""

    rank = 2
    scores = _PSDS2_SCORES

    @classmethod
    def create(cls, setting: Setting) -> Self:
        """An empty one by the run's back end.

        Raises:
            MissingDependencyError: If its package is not installed.
        """
        return cls(_back_end(setting, PSDS2))

    def metrics(self) -> dict[str, Any]:
        """PSDS2, its plain mean over classes, and the value of each class; variant is that of `psds`.

        Raises:
            DataError: If there is no event in the ground truth.
        """
        result = self.back_end.compute()
        return {
            "psds2_macro": result.macro,
            "psds2": result.psds,
            "psds2_per_class": dict(result.per_class),
        }

    def report(self, variant: Mapping[str, Any], folder: Path | None) -> dict[str, Any]:
        """Confidence interval of the plain mean; counts by clip and the PSD-ROC go into the folder."""
        del variant  # its parameters are the run's
        if not isinstance(self.back_end, PsdsAccumulator):
            return {}
        own = self.back_end.compute().variant
        return report_psds(self.back_end, own, folder, "psds2_clips.npz", "psds2_roc.png")


def _back_end(setting: Setting, parameters: PsdsParameters) -> PsdsBackEnd:
    arguments = (setting.classes, setting.durations, setting.grid.hop_s, parameters)
    return create_back_end(setting.config.back_end, *arguments, keeps_clips=setting.keeps_clips)
