"""What a metric is: one class that declares its scores, sees every clip once, and gives entries of a result.

A new metric is one file in this folder (or a folder, as `psds/`) with a class under `@METRICS.register("name")`. Runs
of its task then compute it, or those that name it in `evaluation.metrics`; result.json, tables, CSV, the frontier's
page and its pictures read what it declares.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.config.evaluation import ALL, DEFAULT, EvaluationConfig
from efficient_sed.data.events import Event
from efficient_sed.errors import ConfigError, nearest
from efficient_sed.registry import Registry

Task = Literal["detection", "tagging"]
TUNED = "_tuned"
"""Behind the key of an entry that was taken after tuned post-processing."""


@dataclass(frozen=True)
class Score:
    """A number of a result: what it is called, which way is better, and where it is shown."""

    key: str
    """Under "metrics" in result.json, such as "psds1_macro"; deviations over seeds are `KEY_sd` in the CSV."""
    name: str
    """Short, for tables and messages: "PSDS1 macro"."""
    title: str
    """Of an axis: "PSDS1, macro"."""
    unit: str = ""
    """Such as "s"; empty for a share or a ratio."""
    is_higher_better: bool = True
    form: str = ".3f"
    """Format of a value in a table."""
    least: float = 0.0
    most: float = math.inf
    """A result with a value outside of these is damaged."""
    column: str = ""
    """Heading of its column in the terminal's table, shared by scores of which a run has one; such scores have a column
    of the CSV, too. Empty: in result.json, on the page and as an axis alone."""
    tuned_column: str = ""
    """The same of the score after tuned post-processing."""
    is_last_in_csv: bool = False
    """Its columns of the CSV stand behind all others, so that scripts that read files by place go on to."""
    lead: int = 0
    """Above 0: tables and pictures lead with it; of several that a result has, with the highest."""

    @property
    def label(self) -> str:
        """Title with unit, for an axis."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    @property
    def range(self) -> str:
        """Allowed values, for messages."""
        if math.isinf(self.most):
            return "a number" if math.isinf(self.least) else f"a number from {self.least:g}"
        return f"{self.least:g} to {self.most:g}"

    def tuned(self) -> Score:
        """The same score after tuned post-processing."""
        key, name, title = f"{self.key}{TUNED}", f"{self.name} tuned", f"{self.title}, tuned"
        return replace(self, key=key, name=name, title=title, column=self.tuned_column, lead=0, is_last_in_csv=True)

    def show(self, value: float | None) -> str:
        """A value as a table shows it; empty for None."""
        return "" if value is None else f"{value:{self.form}}"


@dataclass(frozen=True)
class Setting:
    """What a metric is created for."""

    classes: tuple[str, ...]
    """Labels that are evaluated, in the order of the columns."""
    durations: Sequence[float]
    """Seconds of the clips that may come."""
    grid: FrameGrid
    """From frames to seconds."""
    config: EvaluationConfig
    keeps_clips: bool = False
    """Whether confidence intervals over clips are asked for."""
    thresholds: tuple[float, ...] | None = None
    """At which events are detected, in the order of the columns; default None: 0.5 for all."""


class ClipMetric(ABC):
    """Sees every whole clip once, keeps what it needs of it, and gives entries of a result at the end."""

    name: ClassVar[str]
    task: ClassVar[Task] = "detection"
    use: ClassVar[Literal["default", "request", "data"]] = "default"
    """When a run of detection computes it: unless `evaluation.metrics` leaves it out, only if that names it, or
    whenever its data ask for it."""
    is_of_events: ClassVar[bool] = False
    """Whether it looks at events, and not at scores over all thresholds: tuned runs have a post-processing of its own
    for either."""
    rank: ClassVar[int] = 100
    """Place among the metrics, the lowest first: the order of entries, columns and choices."""
    scores: ClassVar[tuple[Score, ...]] = ()
    """The numbers among its entries, in the order in which they are shown."""

    @classmethod
    @abstractmethod
    def create(cls, setting: Setting) -> Self | None:
        """An empty one for a run; None where the run has no use for it."""

    @abstractmethod
    def update(self, clip_id: str, scores: np.ndarray, events: Sequence[Event], duration_s: float) -> None:
        """Take in a clip; clips come in any order.

        Args:
            clip_id: Its name.
            scores: Of a metric of detection smoothed frame scores in [0, 1], shape (frames, classes); of tagging the
                clip's logits, shape (classes,). Columns are the evaluated classes.
            events: Of the evaluated classes, in seconds.
            duration_s: Length of the clip in seconds.
        """

    @abstractmethod
    def merge(self, other: Any) -> None:
        """Take over what another process's metric saw: other clips."""

    @abstractmethod
    def metrics(self) -> dict[str, Any]:
        """Entries of a result: a value for each declared score, or None.

        What is under "variant" joins the other metrics' variants.
        """

    def report(self, variant: Mapping[str, Any], folder: Path | None) -> dict[str, Any]:
        """Further entries of a finished run, such as confidence intervals.

        Args:
            variant: Metric variant of the whole result.
            folder: Where files about it are written; None: nowhere.
        """
        return {}


METRICS: Registry[ClipMetric] = Registry("metric", "efficient_sed.metrics")


def all_metrics() -> list[type[ClipMetric]]:
    """Every registered metric by rank."""
    return sorted(map(METRICS.get, METRICS.names()), key=lambda metric: (metric.rank, metric.name))


def chosen_metrics(names: Sequence[str]) -> list[type[ClipMetric]]:
    """Metrics of a detection run by rank.

    Args:
        names: Value of `evaluation.metrics`: names of metrics, "default" or "all".

    Raises:
        ConfigError: If a name is unknown; the message gives the nearest one and the list.
    """
    offered = {metric.name: metric for metric in all_metrics() if metric.task == "detection" and metric.use != "data"}
    several = {DEFAULT: [name for name, metric in offered.items() if metric.use == "default"], ALL: list(offered)}
    for name in names:
        if name not in {*offered, *several}:
            hint = nearest(name, {*offered, *several})
            raise ConfigError(f"evaluation.metrics=[{','.join(names)}] has an unknown metric {name!r}; {hint}")
    chosen = {metric for name in names for metric in several.get(name, [name])}
    return [metric for name, metric in offered.items() if name in chosen]


def create_metrics(task: str, setting: Setting) -> list[ClipMetric]:
    """Empty metrics of a task, by rank; of detection those that the run's configuration chooses.

    Raises:
        ConfigError: If one of their names is unknown.
    """
    of_task = [metric for metric in all_metrics() if metric.task == task]
    if task == "detection":
        of_task = chosen_metrics(setting.config.metrics)
    created = (metric.create(setting) for metric in of_task)
    return [metric for metric in created if metric is not None]


def join_metrics(metrics: Sequence[ClipMetric]) -> dict[str, Any]:
    """Entries of all metrics, with their variants as one under "variant"."""
    entries: dict[str, Any] = {}
    variant: dict[str, Any] = {}
    for metric in metrics:
        entries |= metric.metrics()
        variant |= entries.pop("variant", {})
    return {**entries, "variant": variant}


def all_scores(task: str | None = None) -> dict[str, Score]:
    """Declared scores of a task, or of all, by their keys and in order."""
    return {score.key: score for metric in all_metrics() if task in (None, metric.task) for score in _declared(metric)}


def _declared(metric: type[ClipMetric]) -> list[Score]:
    """Scores of a metric, those of detection also after tuned post-processing."""
    tuned = [score.tuned() for score in metric.scores] if metric.task == "detection" and metric.use != "data" else []
    return [*metric.scores, *tuned]


def leading_score(task: str, metrics: Mapping[str, Any]) -> Score:
    """The score that tables and pictures lead with, of those that a result's metrics have."""
    leading = [score for score in all_scores(task).values() if score.lead]
    present = [score for score in leading if score.key in metrics]
    return max(present, key=lambda score: score.lead) if present else min(leading, key=lambda score: score.lead)
