"""The frontier between score and complexity, from finished runs and from published tables. Drawing is in `frontier_plot`."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from efficient_sed._resources import resource_folder
from efficient_sed.errors import DataError

PUBLISHED_DATA, PUBLISHED_SPEED, PUBLISHED_SECONDS = "audioset_strong", "RTX 3090, fp16", 10.0


class ComplexityMetric(NamedTuple):
    """An axis of the frontier."""

    label: str
    is_lower_better: bool


COMPLEXITY_METRICS: Mapping[str, ComplexityMetric] = {
    "params": ComplexityMetric("parameters", True),
    "macs": ComplexityMetric("MACs per {seconds:g} s", True),
    "throughput_clips_s": ComplexityMetric("clips/s", False),
}


@dataclass(frozen=True)
class Point:
    """What a model achieves and what it costs."""

    model: str
    backbone: str
    family: str
    """Sequence head, "none" without one."""
    score: float
    """PSDS1, plain mean over classes, in [0, 1]."""
    complexity: Mapping[str, float]
    """By keys of `COMPLEXITY_METRICS`; one that was not measured is absent."""
    source: Literal["ours", "published"]
    label: str
    """The model, with seed or signature where several runs share it."""
    origin: str
    """Folder of the run, or the source of a published value."""
    conditions: Mapping[str, Any] = field(default_factory=dict)
    """Data and metric variant: scores compare only where these agree."""
    speed: str = ""
    """Device, precision and batch of the throughput."""


def pareto_front(points: Iterable[Point], x: str, is_lower_better: bool | None = None) -> list[Point]:
    """Points that no other one dominates, by ascending complexity; equal points are all kept, those without `x` left out.

    A point dominates another if it is no worse in score and complexity and better in one of them.

    Args:
        x: Key of `COMPLEXITY_METRICS`, or another one with `is_lower_better` given.
    """
    sign = 1 if (COMPLEXITY_METRICS[x].is_lower_better if is_lower_better is None else is_lower_better) else -1
    front: list[Point] = []
    for point in sorted((point for point in points if x in point.complexity), key=lambda point: (sign * point.complexity[x], -point.score)):
        if not front or point.score > front[-1].score or (point.score, point.complexity[x]) == (front[-1].score, front[-1].complexity[x]):
            front.append(point)
    return front[::sign]


def find_runs(folder: Path) -> list[Path]:
    """Folders of all finished runs below a folder.

    Raises:
        DataError: If there is none.
    """
    runs = sorted(path.parent for path in folder.rglob("result.json"))
    if not runs:
        raise DataError(f"no finished run below {folder}; train one with: make sweep")
    return runs


def read_results(folders: Iterable[Path]) -> list[Point]:
    """The detection runs among finished ones; tagging has no PSDS1 and is left out.

    Raises:
        DataError: If a result is damaged; the message names the file.
    """
    points = []
    for path in (folder / "result.json" for folder in folders):
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
            if result["task"] == "detection":
                points.append((_point(result, path.parent), f"s{result['seed']}", str(result["signature"])))
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else error
            raise DataError(f"{path}: not a complete result ({reason}); delete the file and start the run again") from error
    models = Counter(point.model for point, _, _ in points)
    seeded = Counter((point.model, seed) for point, seed, _ in points)
    extra = ["" if models[point.model] == 1 else f" {seed if seeded[point.model, seed] == 1 else signature[:6]}" for point, seed, signature in points]
    return [replace(point, label=point.model + suffix) for (point, _, _), suffix in zip(points, extra, strict=True)]


def _point(result: Mapping[str, Any], folder: Path) -> Point:
    metrics, complexity, data = result["metrics"], result["complexity"], result["data"]
    score, speed = float(metrics["psds1_macro"]), complexity.get("throughput") or {}
    values = {"params": complexity.get("params"), "macs": complexity.get("macs"), "throughput_clips_s": speed.get("clips_per_s")}
    costs = {key: float(value) for key, value in values.items() if value is not None}
    wrong = [f"{key}={value}" for key, value in costs.items() if not 0 < value < math.inf] + ([] if 0 <= score <= 1 else [f"psds1_macro={score}"])
    if wrong:
        raise ValueError(f"{', '.join(wrong)} is out of range")
    conditions = {"data": data["name"], "manifest_hash": data["manifest_hash"], **metrics["variant"]}
    conditions |= {"clips_scored": metrics.get("coverage", {}).get("clips_scored"), "seconds": float(complexity["seconds"])}
    measured = f"{speed['device']}, {speed['precision']}, batch {speed['batch_size']}" if speed else ""
    return Point(result["model"], result["backbone"], result["head"], score, costs, "ours", result["model"], str(folder), conditions, measured)


def read_published() -> list[Point]:
    """Models of EfficientSED on AudioSet Strong, as published; MACs count BiGRU as zero and TCN twice there."""
    with (resource_folder("published") / "efficientsed_audioset_strong.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    points = []
    for row in rows:
        model = f"{row['backbone']}+{row['head']}-{row['hidden']}" if row["hidden"] else row["backbone"]
        costs = {"params": float(row["params"]), "macs": float(row["macs_g_published"]) * 1e9, "throughput_clips_s": float(row["throughput_rtx3090_clips_s"])}
        conditions = {"data": PUBLISHED_DATA, "seconds": PUBLISHED_SECONDS}
        score, label = round(float(row["psds1"]) / 100, 6), row["checkpoint"] or model
        points.append(Point(model, row["backbone"], row["head"], score, costs, "published", label, row["psds1_source"], conditions, PUBLISHED_SPEED))
    return points


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
        differing = [f"{key} {own.get(key)!r} against {other.get(key)!r}" for key in {**own, **other} if own.get(key) != other.get(key)]
        if differing:
            return f"{points[0].origin} and {point.origin} differ in {', '.join(differing)}"
    return None
