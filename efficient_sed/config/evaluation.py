"""Options of the evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from efficient_sed.errors import require

MAX_EFPR = 1e9  # false positives an hour


@dataclass(frozen=True)
class EvaluationConfig:
    """Parameters of PSDS; the defaults are PSDS1, without cross-trigger cost."""

    dtc: float = 0.7
    """Detection tolerance criterion: smallest share of a detection that ground truth must cover; above 0, at most 1."""
    gtc: float = 0.7
    """Ground-truth intersection criterion: smallest share of an event that detections must cover; above 0, at most
    1."""
    alpha_st: float = 1.0
    """Standard deviations over classes that are taken off the mean, 0 or more. The macro value beside PSDS has none."""
    max_efpr: float = 100.0
    """False positives per hour at which the ROC is cut; above 0."""
    back_end: Literal["exact", "sed_scores_eval", "psds_eval"] = "exact"
    """What computes PSDS: `exact` is this project's own code, the others are packages of the extra [eval], which keep
    all scores in memory."""

    def __post_init__(self) -> None:
        require(0 < self.dtc <= 1, "evaluation.dtc", self.dtc, "above 0, at most 1")
        require(0 < self.gtc <= 1, "evaluation.gtc", self.gtc, "above 0, at most 1")
        require(self.alpha_st >= 0, "evaluation.alpha_st", self.alpha_st, "0 or more")
        require(0 < self.max_efpr <= MAX_EFPR, "evaluation.max_efpr", self.max_efpr, f"above 0, at most {MAX_EFPR:g}")
