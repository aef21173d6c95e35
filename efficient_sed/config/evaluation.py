"""Options of the evaluation."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from efficient_sed.config.values import ONE_OR_LIST
from efficient_sed.errors import nearest, require
from efficient_sed.registry import ENGINES

MAX_EFPR = 1e9  # false positives an hour
MAX_SEGMENT_S = 3600.0
MAX_FOLDS = 20
ALWAYS = "psds"
"""The metric that every detection run has: it chooses the epoch, and tables lead with it."""
AUTO, TORCH = "auto", "torch"
"""What computes scores, beside the names in `ENGINES`: whichever suits a model, and PyTorch."""
DEFAULT, ALL = "default", "all"
"""Names in `evaluation.metrics` that stand for several."""


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
    """How detection is scored, and for what its post-processing is tuned."""

    back_end: Literal["exact", "sed_scores_eval", "psds_eval"] = "exact"
    """What computes PSDS: `exact` is this project's own code, the others are packages of the extra [eval], which keep
    all scores in memory."""

    engine: str = AUTO
    """What computes the scores of a trained model: `torch`; an engine for exported models, such as `onnxruntime`, on
    the CPU; or `auto`: on a CPU onnxruntime where it is installed and there is an hour of sound or more, else `torch`.
    A model whose scores an engine changes by more than 1e-5 is not scored by it."""
    metrics: tuple[str, ...] = field(default=(DEFAULT,), metadata={ONE_OR_LIST: True})
    """Which metrics a detection run computes, such as [psds,event] or [default,intersection]: `default` stands for
    those that are cheap, `all` for every one. `psds` cannot be left out: it chooses the best epoch."""
    collar_s: float = 0.2
    """By how many seconds an onset or offset may be off for a detected event to count as found; 0 or more."""
    offset_share: float = 0.2
    """An offset may be off by this share of the event's length, where that is more than evaluation.collar_s; 0 to 1.
    DESED and DCASE take 0.2, sed_eval's own default is 0.5."""
    segment_s: float = 1.0
    """Length in seconds of the segments that segment scores count in; above 0, at most 3600. DESED and DCASE take 1."""
    intersection_dtc: float = 0.5
    """Detection tolerance criterion of the intersection F1: smallest share of a detection that ground truth must cover;
    above 0, at most 1."""
    intersection_gtc: float = 0.5
    """Ground-truth intersection criterion of the intersection F1: smallest share of an event that detections must
    cover; above 0, at most 1."""

    tune: Literal["psds1", "psds2", "event_f1", "none"] = "psds1"
    """What the post-processing of frame scores is tuned for after a training, on the validation part: `psds1` or
    `psds2`, with thresholds for event F1 in either case; `event_f1` for both; `none` tunes nothing."""
    postprocessing: tuple[str, ...] = field(default=("median",), metadata={ONE_OR_LIST: True})
    """Candidates for the scores that PSDS is taken of, such as [none,median]: the one that cross-validation finds best
    is kept. A chain is several names joined by a plus sign, such as median+hysteresis."""
    event_postprocessing: tuple[str, ...] = field(default=("median", "change_points"), metadata={ONE_OR_LIST: True})
    """Candidates for the scores that events are cut from, in the same form."""
    tune_folds: int = 5
    """Parts that cross-validation divides the validation clips into, 2 to 20."""
    min_events: int = 10
    """Classes with fewer events in the validation part than this share the value that suits all classes together; 1 or
    more."""

    baseline_training_kwh: float | None = None
    """Energy in kWh of the training of a baseline on this machine, above 0. With it a result has DCASE's
    energy-weighted PSDS: PSDS times the baseline's energy over that of the run's own training. Default null: none."""
    baseline_test_kwh: float | None = None
    """The same of the energy in kWh that the baseline takes to score the test part, above 0."""

    key_prefix: ClassVar[str] = "evaluation."

    def __post_init__(self) -> None:
        super().__post_init__()
        engines = [AUTO, TORCH, *ENGINES.names()]
        self._require(self.engine in engines, "engine", nearest(self.engine, engines))
        self._require(0 <= self.collar_s < math.inf, "collar_s", "seconds, 0 or more")
        self._require(0 <= self.offset_share <= 1, "offset_share", "0 to 1")
        self._require(0 < self.segment_s <= MAX_SEGMENT_S, "segment_s", f"seconds, above 0, at most {MAX_SEGMENT_S:g}")
        for name in ("intersection_dtc", "intersection_gtc"):
            self._require(0 < getattr(self, name) <= 1, name, "above 0, at most 1")
        self._require(2 <= self.tune_folds <= MAX_FOLDS, "tune_folds", f"2 to {MAX_FOLDS}")
        self._require(self.min_events >= 1, "min_events", "1 or more")
        for name in ("baseline_training_kwh", "baseline_test_kwh"):
            kwh = getattr(self, name)
            self._require(kwh is None or 0 < kwh < math.inf, name, "kWh, above 0, or null")
        for name in ("metrics", "postprocessing", "event_postprocessing"):
            names = getattr(self, name)
            require(len(names) > 0, f"evaluation.{name}", "[]", "at least one name")
            require(len(set(names)) == len(names), f"evaluation.{name}", _listed(names), "each name once")
        has_psds = not {ALWAYS, DEFAULT, ALL}.isdisjoint(self.metrics)
        with_psds = f"{ALWAYS} cannot be left out, it chooses the best epoch; give {_listed((ALWAYS, *self.metrics))}"
        require(has_psds, "evaluation.metrics", _listed(self.metrics), with_psds)


def _listed(names: tuple[str, ...]) -> str:
    """Names as they are typed."""
    return f"[{','.join(names)}]"
