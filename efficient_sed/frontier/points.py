"""The frontier between score and complexity, from finished runs and from published tables. Drawing is in `frontier_plot`."""

from __future__ import annotations

import logging
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from efficient_sed.errors import DataError
from efficient_sed.experiment.repeats import group_repeats, mean_and_sd
from efficient_sed.experiment.result_file import RESULT_FILE, main_score, read_result
from efficient_sed.files.folders import walk_files
from efficient_sed.frontier.published import read_published_models

logger = logging.getLogger(__name__)
PUBLISHED_DATA, PUBLISHED_SPEED = "audioset_strong", "RTX 3090, fp16"
AXIS_SECONDS = 10.0  # of sound, which MACs and throughput are told for, however long the clips of a model are: published values are of such clips
SIGNIFICANT = 12  # digits of a mean


class ComplexityMetric(NamedTuple):
    """An axis of the frontier."""

    label: str
    is_lower_better: bool
    path: tuple[str, ...] = ()
    """Where a result's "complexity" holds it; empty for what only papers tell."""


COMPLEXITY_METRICS: Mapping[str, ComplexityMetric] = {
    "params": ComplexityMetric("parameters", True, ("params",)),
    "macs": ComplexityMetric("MACs per 10 s", True, ("macs",)),
    "macs_published": ComplexityMetric("MACs as published", True, ("macs_published",)),
    "macs_deepspeed": ComplexityMetric("MACs as DeepSpeed counts them", True, ("macs_deepspeed",)),
    "macs_backbone": ComplexityMetric("MACs of the backbone", True, ("macs_by_part", "backbone")),
    "macs_sequence": ComplexityMetric("MACs of the sequence head", True, ("macs_by_part", "sequence")),
    "macs_classifier": ComplexityMetric("MACs of the classifier", True, ("macs_by_part", "classifier")),
    "throughput_clips_s": ComplexityMetric("10 s clips/s", False, ("throughput", "clips_per_s")),
    "latency_ms": ComplexityMetric("latency of one clip in ms", True, ("latency", "ms")),
    "peak_memory_mb": ComplexityMetric("peak memory in MB", True, ("peak_memory_mb",)),
    "epoch_s": ComplexityMetric("seconds of training an epoch", True),
    "training_h": ComplexityMetric("hours of training", True),
}
SCORES: Mapping[str, tuple[str, bool]] = {
    "psds1_macro": ("PSDS1, macro", True),
    "psds1": ("PSDS1 with penalty for unequal classes", True),
    "psds2_macro": ("PSDS2, macro", True),
    "psds2": ("PSDS2 with penalty for unequal classes", True),
    "psds_macro": ("PSDS with other parameters, macro", True),
    "psds": ("PSDS with other parameters and penalty for unequal classes", True),
    "frame_f1": ("F1 of frames", True),
    "frame_error_rate": ("error rate of frames", False),
    "segment_pauroc": ("partial AUROC of segments", True),
    "event_f1": ("F1 of events, onset and offset", True),
    "event_f1_macro": ("F1 of events, mean over classes", True),
    "event_onset_f1": ("F1 of events, onset alone", True),
    "event_onset_f1_macro": ("F1 of events, onset alone, mean over classes", True),
    "onset_f": ("onset F-measure", True),
    "onset_f_macro": ("onset F-measure, mean over classes", True),
    "segment_error_rate": ("error rate of segments", False),
    "map": ("mean average precision", True),
    "mauc": ("mean AUC", True),
    "dprime": ("d-prime", True),
    "accuracy": ("accuracy", True),
    "f1_macro": ("F1, mean over classes", True),
    "f1_micro": ("F1, micro", True),
    "loss": ("loss", False),
}
"""Label, and whether higher is better; a score that is not here is offered by its key, without a front."""
PANELS = ("params", "macs", "throughput_clips_s")
"""What the picture shows; the page offers all."""


@dataclass(frozen=True)
class Point:
    """What a model achieves and what it costs."""

    model: str
    backbone: str
    family: str
    """Sequence head, "none" without one."""
    score: float
    """By `metric`, in [0, 1]."""
    complexity: Mapping[str, float]
    """By keys of `COMPLEXITY_METRICS`; one that was not measured is absent."""
    source: Literal["ours", "published"]
    label: str
    """The model, with seed or signature where several configurations share it."""
    origin: str
    """Folder of the (first) run, or the source of a published value."""
    conditions: Mapping[str, Any] = field(default_factory=dict)
    """Data and metric variant: scores compare only where these agree."""
    speed: str = ""
    """Device, precision and batch of the throughput."""
    metric: str = "psds1_macro"
    """The score that tables lead with: PSDS1 as the plain mean over classes for detection, accuracy or mAP for tagging."""
    interval: tuple[float, float] | None = None
    """Score minus and plus one standard deviation over seeds, or of one run the bootstrap's 95 %."""
    clip_seconds: float = AXIS_SECONDS
    """Of the clips that costs were measured with."""
    has_extra_training_data: bool = False
    """Whether it was trained on more than the models beside it: it is drawn, and on no front."""


def pareto_front(points: Iterable[Point], x: str, is_lower_better: bool | None = None) -> list[Point]:
    """Points that no other one dominates, by ascending complexity; equal points are all kept, those with extra training data or without `x` left out.

    A point dominates another if it is no worse in score and complexity and better in one of them.

    Args:
        x: Key of `COMPLEXITY_METRICS`, or another one with `is_lower_better` given.
    """
    sign = 1 if (COMPLEXITY_METRICS[x].is_lower_better if is_lower_better is None else is_lower_better) else -1
    front: list[Point] = []
    for point in sorted(
        (point for point in points if x in point.complexity and not point.has_extra_training_data),
        key=lambda point: (sign * point.complexity[x], -point.score),
    ):
        if (
            not front
            or point.score > front[-1].score
            or (point.score, point.complexity[x]) == (front[-1].score, front[-1].complexity[x])
        ):
            front.append(point)
    return front[::sign]


def comparable_sets(points: Iterable[Point], x: str) -> list[list[Point]]:
    """Points that share a front: their scores compare, and where `x` is a speed it was measured alike."""
    sets: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        sets.setdefault(
            (repr(sorted(point.conditions.items())), point.speed if x == "throughput_clips_s" else ""), []
        ).append(point)
    return list(sets.values())


def output_base(output: Path) -> Path:
    """What the files of a plot are called, but for their endings: a folder holds `frontier`, and an ending of one of the files is taken off."""
    return (
        output / "frontier"
        if output.is_dir()
        else output.with_suffix("")
        if output.suffix in {".png", ".svg", ".html", ".csv"}
        else output
    )


def with_ending(base: Path, ending: str) -> Path:
    """A file of a plot; the base's own name may hold dots."""
    return base.with_name(f"{base.name}.{ending}")


def find_runs(folder: Path) -> list[Path]:
    """Folders of all finished runs below a folder; what cannot be read is told in the log.

    Raises:
        DataError: If there is none.
    """
    unreadable: list[OSError] = []
    runs = sorted(path.parent for path in walk_files(folder, unreadable.append) if path.name == RESULT_FILE)
    messages = [f"{error.filename}: cannot be read ({error.strerror})" for error in unreadable if folder.exists()]
    if not runs:
        raise DataError(messages[0] if messages else f"no finished run below {folder}; train one with: make sweep")
    for message in messages:
        logger.warning("%s; runs in it are left out", message)
    return runs


def read_results(folders: Iterable[Path]) -> list[tuple[Path, Mapping[str, Any]]]:
    """Finished runs with their folders; folders without a result are passed over.

    Raises:
        DataError: If a result is damaged; the message names the file.
    """
    return [(folder, result) for folder in folders if (result := read_result(folder)) is not None]


def run_points(results: Sequence[tuple[Path, Mapping[str, Any]]]) -> list[Point]:
    """A point for each configuration; scores of runs that differ in their seed or fold alone are averaged."""
    origins = {id(result): folder for folder, result in results}
    groups = group_repeats([result for _, result in results])
    points = [_point(group, origins[id(group[0])]) for group in groups]
    return [replace(point, label=label) for point, label in zip(points, distinct_labels(groups), strict=True)]


def distinct_labels(groups: Sequence[Sequence[Mapping[str, Any]]]) -> list[str]:
    """A name for each group of repetitions: the model; where several have it, with the seed of a single run, or else with a signature."""
    models = Counter(group[0]["model"] for group in groups)
    seeds = ["" if len(group) > 1 else f"s{group[0]['seed']}" for group in groups]
    seeded = Counter((group[0]["model"], seed) for group, seed in zip(groups, seeds, strict=True))
    labels = []
    for group, seed in zip(groups, seeds, strict=True):
        model, signature = group[0]["model"], str(group[0]["signature"])
        suffix = "" if models[model] == 1 else f" {seed if seed and seeded[model, seed] == 1 else signature[:6]}"
        labels.append(model + suffix)
    return labels


def _point(group: Sequence[Mapping[str, Any]], folder: Path) -> Point:
    result = group[0]
    metric, _ = main_score(result)
    scores = [float(each["metrics"][metric]) for each in group]
    interval = score_interval([each["metrics"] for each in group], metric)
    measured = speed_conditions(group)
    mean, _ = mean_and_sd(scores)
    costs, conditions = complexity_values(group), score_conditions(result)
    seconds = float(result["complexity"]["seconds"])
    return Point(
        result["model"], result["backbone"], result["head"], rounded(mean), costs, "ours", result["model"], str(folder), conditions, measured, metric, interval, seconds
    )  # fmt: skip


def rounded(value: float) -> float:
    """To the digits that mean something: equal means of other numbers are equal then."""
    return float(f"{value:.{SIGNIFICANT}g}")


def score_interval(metrics: Sequence[Mapping[str, Any]], key: str) -> tuple[float, float] | None:
    """What an error bar spans: one standard deviation over seeds either way; of one run the bootstrap's 95 %, if the result has it."""
    mean, sd = mean_and_sd([float(each[key]) for each in metrics])
    if sd is not None:
        return mean - sd, mean + sd
    bootstrap = metrics[0].get(f"{key}_ci95")
    return None if bootstrap is None else (float(bootstrap[0]), float(bootstrap[1]))


def complexity_values(group: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """By keys of `COMPLEXITY_METRICS`, the median over repetitions; what was not measured is absent.

    MACs and throughput are those of ten seconds of sound, which a model of clips of five hears in two passes.
    """
    costs = {}
    passes = AXIS_SECONDS / float(group[0]["complexity"]["seconds"])
    for key, metric in COMPLEXITY_METRICS.items():
        scale = passes if key.startswith("macs") else 1 / passes if key == "throughput_clips_s" else 1.0
        values = [
            scale * value for result in group if (value := _value_at(result["complexity"], metric.path)) is not None
        ]
        if values:
            costs[key] = rounded(statistics.median(values))
    return {key: value for key, value in costs.items() if value}  # a part that is not there costs 0


def _value_at(complexity: Mapping[str, Any], path: Sequence[str]) -> float | None:
    value: Any = complexity if path else None
    for key in path:
        value = (value or {}).get(key)
    return None if value is None else float(value)


def speed_conditions(group: Sequence[Mapping[str, Any]]) -> str:
    """What throughput of repetitions was measured on, such as "CPU of a kind, fp32, fused, batch 4"; empty if it was not measured."""
    speed = next((speed for result in group if (speed := result["complexity"].get("throughput"))), None)
    return (
        ", ".join(
            part
            for part in (speed["device"], speed["precision"], speed.get("mode"), f"batch {speed['batch_size']}")
            if part
        )
        if speed
        else ""
    )


def score_conditions(result: Mapping[str, Any]) -> dict[str, Any]:
    """Data and metric variant of a result: scores compare only where these agree."""
    metrics, data = result["metrics"], result["data"]
    conditions = {"data": data["name"], "manifest_hash": data["manifest_hash"], **metrics["variant"]}
    return conditions | {"clips_scored": metrics.get("coverage", {}).get("clips_scored")}


def read_published() -> list[Point]:
    """Models of EfficientSED on AudioSet Strong: scores as published, MACs counted anew beside the published ones."""
    conditions = {"data": PUBLISHED_DATA}
    return [
        Point(
            row.model, row.backbone, row.family, row.scores["psds1_macro"], row.complexity, "published", row.label, row.score_source, conditions, row.speed,
            has_extra_training_data=row.has_extra_training_data,
        )
        for row in read_published_models("efficientsed_audioset_strong")
    ]  # fmt: skip


def group_by_metric(points: Iterable[Point]) -> list[list[Point]]:
    """Points of one score together, in the order in which scores come first."""
    groups: dict[str, list[Point]] = {}
    for point in points:
        groups.setdefault(point.metric, []).append(point)
    return list(groups.values())


def group_comparable(points: Iterable[Point]) -> list[list[Point]]:
    """Sets of points whose data and metric variant agree, the largest first."""
    groups: list[list[Point]] = []
    for point in points:
        group = next((group for group in groups if group[0].conditions == point.conditions), None)
        if group is None:
            groups.append([point])
        else:
            group.append(point)
    return sorted(groups, key=len, reverse=True)


def find_mismatch(points: Sequence[Point]) -> str | None:
    """The first two runs whose scores do not compare, and what differs in data or metric variant; none if all do."""
    for point in points[1:]:
        own, other = points[0].conditions, point.conditions
        differing = [
            f"{key} {own.get(key)!r} against {other.get(key)!r}"
            for key in {**own, **other}
            if own.get(key) != other.get(key)
        ]
        if differing:
            return f"{points[0].origin} and {point.origin} differ in {', '.join(differing)}"
    return None


def check_comparable(points: Sequence[Point]) -> None:
    """Raise a DataError if two runs differ in data or metric variant."""
    mismatch = find_mismatch(points)
    if mismatch:
        error = DataError(f"{mismatch}; plot them apart, or together with --allow-mixed (in Python, allow_mixed=True)")
        error.command_line_message = f"{mismatch}; plot them apart, or together with --allow-mixed"
        raise error
