"""Options of the evaluation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from efficient_sed.errors import require

MAX_EFPR = 1e9  # false positives an hour


@dataclass(frozen=True)
class PsdsConfig:
    """Parameters of PSDS without cross-triggers, by default those of PSDS1, with their ranges."""

    dtc: float = 0.7
    """Detection tolerance criterion: smallest share of a detection that ground truth must cover; above 0, at most 1."""
    gtc: float = 0.7
    """Ground-truth intersection criterion: smallest share of an event that detections must cover; above 0, at most
    1."""
    alpha_st: float = 1.0
    """Standard deviations over classes that are taken off the mean, 0 or more. The macro value beside PSDS has none."""
    max_efpr: float = 100.0
    """False positives per hour at which the ROC is cut; above 0."""

    key_prefix: ClassVar[str] = ""
    """What a message puts before the name of a parameter."""

    def __post_init__(self) -> None:
        for name in ("dtc", "gtc"):
            self._require(0 < getattr(self, name) <= 1, name, "above 0, at most 1")
        self._require(0 <= self.alpha_st < math.inf, "alpha_st", "0 or more")
        self._require(0 < self.max_efpr <= MAX_EFPR, "max_efpr", f"above 0, at most {MAX_EFPR:g}")

    def _require(self, condition: bool, name: str, allowed: str) -> None:
        require(condition, self.key_prefix + name, getattr(self, name), allowed)


@dataclass(frozen=True)
class EvaluationConfig(PsdsConfig):
    """How detection is scored: PSDS over all thresholds."""

    back_end: Literal["exact", "sed_scores_eval", "psds_eval"] = "exact"
    """What computes PSDS: `exact` is this project's own code, the others are packages of the extra [eval], which keep
    all scores in memory."""

    key_prefix: ClassVar[str] = "evaluation."
