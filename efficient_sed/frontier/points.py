"""What models achieve and what they cost, as points of the frontier: from finished runs and from published tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from efficient_sed.errors import ConfigError, DataError, nearest
from efficient_sed.experiment.differences import data_words, in_words, numbered, telling_options
from efficient_sed.experiment.repeats import group_repeats, mean_and_sd
from efficient_sed.experiment.result_file import is_number, main_score
from efficient_sed.frontier.axes import (
    AXIS_SECONDS,
    COMPLEXITY_METRICS,
    complexity_values,
    rounded,
    speed_conditions,
    speed_device,
    training_conditions,
)
from efficient_sed.frontier.published import AUDIOSET_STRONG, read_published_models

PUBLISHED_DATA, PUBLISHED_SPEED = "audioset_strong", "RTX 3090, fp16"


@dataclass(frozen=True)
class Point:
    """What a model achieves and what it costs."""

    model: str
    backbone: str
    family: str
    """Sequence head, "none" without one."""
    score: float
    """By `metric`."""
    complexity: Mapping[str, float]
    """By keys of `COMPLEXITY_METRICS`; one that was not measured is absent."""
    label: str
    """The model, with what tells it from other configurations of that model."""
    origin: str
    """Folder of the (first) run, or the source of a published value."""
    conditions: Mapping[str, Any] = field(default_factory=dict)
    """Data and metric variant: scores compare only where these agree."""
    speed: str = ""
    """Device, precision and batch of the throughput."""
    training: str = ""
    """Device and meter of the training's energy."""
    metric: str = "psds1_macro"
    """Key of the score; by default that which tables lead with."""
    interval: tuple[float, float] | None = None
    """Score minus and plus one standard deviation over seeds, or of one run the bootstrap's 95 %."""
    clip_seconds: float = AXIS_SECONDS
    """Of the clips that costs were measured with."""
    has_extra_training_data: bool = False
    """Whether it was trained on more than the models beside it: it is drawn, and on no front."""

    def measured_by(self, x: str) -> str:
        """What the cost `x` was measured by; empty for one that compares everywhere."""
        return {"": "", "speed": self.speed, "training": self.training}[COMPLEXITY_METRICS[x].measured_by]


def run_points(results: Sequence[tuple[Path, Mapping[str, Any]]], score: str | None = None) -> list[Point]:
    """A point for each configuration; scores of runs that differ in their seed or fold alone are averaged.

    Args:
        results: Finished runs and their folders.
        score: Key of the score; default None: that which leads a run's tables. Runs without it are left out.

    Raises:
        DataError: If no run has the score; the message lists those that there are.
    """
    if score is not None:
        results = _with_score(results, score)
    origins = {id(result): folder for folder, result in results}
    groups = group_repeats([result for _, result in results])
    points = [_point(group, origins[id(group[0])], score) for group in groups]
    return [replace(point, label=label) for point, label in zip(points, distinct_labels(groups), strict=True)]


def check_costs(points: Sequence[Point], costs: Sequence[str]) -> None:
    """Check that there is something to draw for each cost.

    Raises:
        ConfigError: If there is no such cost; the message gives the nearest one and the list.
        DataError: If no point has it; the message lists those that there are.
    """
    for cost in costs:
        if cost not in COMPLEXITY_METRICS:
            raise ConfigError(f"unknown cost {cost!r}; {nearest(cost, COMPLEXITY_METRICS)}")
        if points and not any(cost in point.complexity for point in points):
            known = {key for point in points for key in point.complexity}
            raise DataError(f"no run has the cost {cost!r}, which was not measured; {nearest(cost, known)}")


def distinct_labels(groups: Sequence[Sequence[Mapping[str, Any]]]) -> list[str]:
    """A name for each group of repetitions: the model, with what tells it from others of that name.

    That is few of the options in which they differ, then the seed, the data, how it was scored, what its speed was
    measured on, and else a number.
    """
    firsts = [group[0] for group in groups]
    data = data_words(firsts)
    options = in_words(telling_options(firsts))
    seeds = ("" if len(group) > 1 else f"s{group[0]['seed']}" for group in groups)
    places = (data[first["data"]["manifest_hash"]] for first in firsts)
    variants = in_words([first["metrics"].get("variant", {}) for first in firsts])
    devices = map(speed_device, groups)
    labels = [str(first["model"]) for first in firsts]
    for words in zip(*zip(options, seeds, places, variants, devices, strict=True), strict=True):
        found: dict[str, set[str]] = {}
        for label, word in zip(labels, words, strict=True):
            found.setdefault(label, set()).add(word)
        longer = (f"{label} {word}".strip() for label, word in zip(labels, words, strict=True))
        labels = [new if len(found[old]) > 1 else old for old, new in zip(labels, longer, strict=True)]
    return numbered(labels)


def _with_score(results: Sequence[tuple[Path, Mapping[str, Any]]], score: str) -> list[tuple[Path, Mapping[str, Any]]]:
    found = [(folder, result) for folder, result in results if is_number(result["metrics"].get(score))]
    if results and not found:
        known = {key for _, result in results for key, value in result["metrics"].items() if is_number(value)}
        raise DataError(f"no run has the score {score!r}; {nearest(score, known)}")
    return found


def _point(group: Sequence[Mapping[str, Any]], folder: Path, score: str | None) -> Point:
    result = group[0]
    metric = main_score(result).key if score is None else score
    scores = [float(each["metrics"][metric]) for each in group]
    interval = score_interval([each["metrics"] for each in group], metric)
    measured = speed_conditions(group)
    mean, _ = mean_and_sd(scores)
    costs, conditions = complexity_values(group), score_conditions(result)
    seconds = float(result["complexity"]["seconds"])
    return Point(
        result["model"], result["backbone"], result["head"], rounded(mean), costs, result["model"],
        str(folder), conditions, measured, training_conditions(group), metric, interval, seconds,
    )  # fmt: skip


def score_interval(metrics: Sequence[Mapping[str, Any]], key: str) -> tuple[float, float] | None:
    """What an error bar spans: one standard deviation over seeds either way.

    For a single run it is the bootstrap's 95 % interval, or None if the result has none.
    """
    mean, sd = mean_and_sd([float(each[key]) for each in metrics])
    if sd is not None:
        return mean - sd, mean + sd
    bootstrap = metrics[0].get(f"{key}_ci95")
    return None if bootstrap is None else (float(bootstrap[0]), float(bootstrap[1]))


def score_conditions(result: Mapping[str, Any]) -> dict[str, Any]:
    """Data and metric variant of a result: scores compare only where these agree."""
    metrics, data = result["metrics"], result["data"]
    conditions = {"data": data["name"], "manifest_hash": data["manifest_hash"], **metrics["variant"]}
    return conditions | {"clips_scored": metrics.get("coverage", {}).get("clips_scored")}


def read_published() -> list[Point]:
    """Published models on AudioSet Strong: scores as published, MACs by our count beside the published ones."""
    conditions = {"data": PUBLISHED_DATA}
    return [
        Point(
            row.model, row.backbone, row.family, row.scores["psds1_macro"], row.complexity, row.label,
            row.score_source, conditions, row.speed, has_extra_training_data=row.has_extra_training_data,
        )
        for row in read_published_models()
        if row.data == AUDIOSET_STRONG
    ]  # fmt: skip
