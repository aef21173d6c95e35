"""The axes of the frontier: every score that a metric declares or a paper has, and every cost."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from efficient_sed.frontier.published import PUBLISHED_SCORES
from efficient_sed.metrics.contracts import Score, all_scores

AXIS_SECONDS = 10.0  # of sound, to which MACs and throughput refer, however long the clips of a model are: as in papers
SIGNIFICANT = 12  # digits of a mean
PANELS = ("params", "macs", "throughput_clips_s")
"""Costs that the picture shows; the page offers all."""


class ComplexityMetric(NamedTuple):
    """An axis of the frontier."""

    label: str
    is_lower_better: bool
    path: str = ""
    """Dotted key of a result that holds it; empty for what only papers tell."""
    power: int = 0
    """1 for what grows with the length of the sound, -1 for what falls: it refers to ten seconds."""
    measured_by: Literal["", "speed", "training"] = ""
    """What it compares within alone: one device, precision and batch of the speed, or one device and meter of the
    training; empty where it compares everywhere."""


COMPLEXITY_METRICS: Mapping[str, ComplexityMetric] = {
    "params": ComplexityMetric("parameters", True, "complexity.params"),
    "macs": ComplexityMetric("MACs per 10 s", True, "complexity.macs", 1),
    "macs_published": ComplexityMetric("MACs as published", True, "complexity.macs_published", 1),
    "macs_deepspeed": ComplexityMetric("MACs as DeepSpeed counts them", True, "complexity.macs_deepspeed", 1),
    "macs_backbone": ComplexityMetric("MACs of the backbone", True, "complexity.macs_by_part.backbone", 1),
    "macs_sequence": ComplexityMetric("MACs of the sequence head", True, "complexity.macs_by_part.sequence", 1),
    "macs_classifier": ComplexityMetric("MACs of the classifier", True, "complexity.macs_by_part.classifier", 1),
    "activations": ComplexityMetric("activations per 10 s", True, "complexity.activations", 1),
    "activations_peak": ComplexityMetric("most activations of a layer", True, "complexity.activations_peak"),
    "throughput_clips_s": ComplexityMetric("10 s clips/s", False, "complexity.throughput.clips_per_s", -1, "speed"),
    "latency_ms": ComplexityMetric("latency of one clip in ms", True, "complexity.latency.ms", 0, "speed"),
    "peak_memory_mb": ComplexityMetric("peak memory in MB", True, "complexity.peak_memory_mb", 0, "speed"),
    "energy_j_per_clip": ComplexityMetric("energy in J per 10 s", True, "complexity.energy_j_per_clip", 1, "speed"),
    "epoch_s": ComplexityMetric("seconds of training an epoch", True),
    "training_h": ComplexityMetric("hours of training", True),
    "training_kwh": ComplexityMetric("kWh of training", True, "training.energy_kwh", 0, "training"),
}


def score_axes() -> dict[str, Score]:
    """Every known score by its key: those of our metrics, and those that only papers have.

    Another number that a result has is shown without a front.
    """
    return all_scores() | {score.key: score for score in PUBLISHED_SCORES}


def rounded(value: float) -> float:
    """To the digits that mean something: equal means of other numbers are equal then."""
    return float(f"{value:.{SIGNIFICANT}g}")


def complexity_values(group: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """By keys of `COMPLEXITY_METRICS`, the median over repetitions; what was not measured in one way is absent.

    MACs, throughput and energy are those of ten seconds of sound, for which a model of five-second clips needs two
    passes.
    """
    costs = {}
    is_compared = bool(training_conditions(group))
    passes = AXIS_SECONDS / float(group[0]["complexity"]["seconds"])
    for key, metric in COMPLEXITY_METRICS.items():
        if metric.measured_by == "training" and not is_compared:
            continue
        values = [
            passes**metric.power * value for result in group if (value := _value_at(result, metric.path)) is not None
        ]
        if values:
            costs[key] = rounded(statistics.median(values))
    return {key: value for key, value in costs.items() if value}  # a part that is not there costs 0


def _value_at(result: Mapping[str, Any], path: str) -> float | None:
    value: Any = result
    for key in path.split("."):
        value = (value or {}).get(key)
    return None if value is None else float(value)


def speed_conditions(group: Sequence[Mapping[str, Any]]) -> str:
    """What throughput of repetitions was measured on, such as "CPU of a kind, fp32, fused, batch 4".

    Empty if it was not measured.
    """
    speed = _speed(group)
    return (
        ", ".join(
            part
            for part in (
                speed["device"],
                speed["precision"],
                speed.get("mode"),
                "CPU time" if speed.get("clock") == "cpu" else "",
                f"batch {speed['batch_size']}",
            )
            if part
        )
        if speed
        else ""
    )


def speed_device(group: Sequence[Mapping[str, Any]]) -> str:
    """The device that throughput of repetitions was measured on; empty if it was not measured."""
    return str(_speed(group).get("device", ""))


def _speed(group: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return next((speed for result in group if (speed := result["complexity"].get("throughput"))), {})


def training_conditions(group: Sequence[Mapping[str, Any]]) -> str:
    """What the energy of trainings was measured with, such as "RAPL, CPU of a kind".

    Empty if it was not measured, or with other devices or meters in some repetitions.
    """
    measured = [result["training"] for result in group]
    found = {(each.get("energy_method"), each["device"]) for each in measured if each.get("energy_kwh") is not None}
    method, device = found.pop() if len(found) == 1 else (None, "")
    return f"{method}, {device}" if method else ""
