"""One record for each model of the page: scores, costs, what they compare with, and where they come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from efficient_sed.experiment.repeats import mean_and_sd
from efficient_sed.experiment.result_file import SCORED_FROM, is_number
from efficient_sed.frontier.axes import (
    AXIS_SECONDS,
    COMPLEXITY_METRICS,
    complexity_values,
    rounded,
    speed_conditions,
    training_conditions,
)
from efficient_sed.frontier.measured import measured_by, measured_costs, measured_row
from efficient_sed.frontier.points import score_conditions, score_interval
from efficient_sed.frontier.published import AUDIOSET_STRONG, PAPERS, PublishedModel


def own_record(group: Sequence[Mapping[str, Any]], label: str, folders: Mapping[str, Path]) -> dict[str, Any]:
    """The record of repeated runs.

    Args:
        group: Results of one configuration.
        label: Its name on the page.
        folders: Folder of each run, by signature.
    """
    result = group[0]
    metrics = [each["metrics"] for each in group]
    scores = {
        key: _score(metrics, key)
        for key, value in metrics[0].items()
        if is_number(value) and all(is_number(each.get(key)) for each in metrics)
    }
    provenance = [*_conditions_of(group), *(_run_of(each, scores, folders) for each in group)]
    if SCORED_FROM in result:
        provenance.insert(0, ("scored from tables", plain(result[SCORED_FROM])))
    provenance.append(
        ("configuration", plain({key: value for key, value in result["config"].items() if key != "seed"}))
    )
    return {
        "label": label,
        "model": result["model"],
        "backbone": result["backbone"],
        "family": result["head"],
        "source": "ours",
        "runs": len(group),
        "hasExtraTrainingData": False,
        "scores": scores,
        "costs": _own_costs(group),
        "conditions": score_conditions(result),
        "provenance": [pair for pair in provenance if pair[1]],
    }


def _own_costs(group: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Value of each cost, and what it was measured with."""
    measured, clips = speed_conditions(group), f"clips of {group[0]['complexity']['seconds']:g} s"
    memory_of, energy_by = (
        next((each["complexity"][key] for each in group if each["complexity"].get(key)), "")  # a run without a speed
        for key in ("peak_memory_of", "energy_method")
    )
    conditions = {
        "throughput_clips_s": measured,
        "activations_peak": clips,
        "latency_ms": f"{measured.rsplit(', batch', 1)[0]}, {clips}",
        "peak_memory_mb": f"{memory_of or 'memory'}, {measured}, {clips}",
        "energy_j_per_clip": f"{energy_by}, {measured}",
        "training_kwh": training_conditions(group),
    }
    return {key: [value, conditions.get(key, _clips(key))] for key, value in complexity_values(group).items()}


def _conditions_of(group: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Data, metric variant, machine and software of repeated runs."""
    result = group[0]
    complexity, environment = result["complexity"], result["environment"]
    clips = f"clips of {complexity['seconds']:g} s"
    if complexity["seconds"] != AXIS_SECONDS:
        clips += f"; MACs and throughput: as many as {AXIS_SECONDS:g} s of sound take"
    return [
        ("data", f"{result['data']['name']}, hash {result['data']['manifest_hash']}"),
        ("clips scored", str(result["metrics"].get("coverage", {}).get("clips_scored", ""))),
        ("metric variant", plain(result["metrics"]["variant"])),
        ("measured with", clips),
        ("note on MACs", complexity.get("macs_note") or ""),
        ("speed measured on", speed_conditions(group)),
        ("speed measured with", "; ".join(dict.fromkeys(filter(None, map(_speed_software, group))))),
        ("device", environment.get("device", "")),
        ("commit", ", ".join(dict.fromkeys(str(each["environment"]["commit"]) for each in group))),
        ("versions", ", ".join(f"{name} {number}" for name, number in environment["versions"].items() if number)),
    ]


def _run_of(result: Mapping[str, Any], scores: Iterable[str], folders: Mapping[str, Path]) -> tuple[str, str]:
    """Seed of a run, and its scores, signature, time and folder."""
    values = ", ".join(f"{key} {result['metrics'][key]}" for key in scores)
    signature = str(result["signature"])
    made = f"signature {signature}, {result['environment']['created']}, {folders[signature]}"
    return f"seed {result['seed']}", f"{values}; {made}"


def _speed_software(result: Mapping[str, Any]) -> str:
    """The software that measured the speed of a run.

    Empty for results of early versions, which only have "environment".
    """
    environment = result["complexity"].get("speed_environment")
    return f"torch {environment['versions']['torch']}, commit {environment['commit']}" if environment else ""


def _score(metrics: Sequence[Mapping[str, Any]], key: str) -> list[Any]:
    """Value, low and high end of the error bar or None, and what the bar is."""
    mean, sd = mean_and_sd([float(each[key]) for each in metrics])
    ends = score_interval(metrics, key)
    bar = (
        ""
        if ends is None
        else f"± one standard deviation over {len(metrics)} seeds"
        if sd is not None
        else "95 % of bootstrap samples"
    )
    return [rounded(mean), *((None, None) if ends is None else map(rounded, ends)), bar]


def published_record(row: PublishedModel) -> dict[str, Any]:
    """The record of a row of a paper's table."""
    scores = {}
    for key, value in row.scores.items():
        sd = row.spreads.get(key)
        scores[key] = (
            [value, None, None, ""]
            if sd is None
            else [value, rounded(value - sd), rounded(value + sd), "± one standard deviation, as published"]
        )
    costs = {
        key: [value, row.speed if key in {"throughput_clips_s", "epoch_s", "training_h"} else _clips(key)]
        for key, value in row.complexity.items()
        if value
    }
    measured = measured_row(row)
    costs = measured_costs(measured) | costs
    paper = PAPERS[row.table]
    provenance = [
        ("source", f"{paper.title} {paper.address}".strip()),
        ("file", f"benchmarks/published/{row.table}.csv"),
        ("data", row.data),
        ("released as", row.label),
        ("score", "read off a figure, ±0.02" if row.score_source == "figure" else "as in the paper's table"),
        ("speed measured on", row.speed),
        ("latency and activations", measured_by(measured)),
        (
            "note",
            "; ".join(
                filter(None, (row.note, "trained on more data: on no front" if row.has_extra_training_data else ""))
            ),
        ),
    ]
    names: dict[str, Any] = {
        "label": (row.label or row.model).removesuffix("_strong"),
        "model": row.model,
        "backbone": row.backbone,
        "family": row.family,
    }
    names |= {"source": paper.title, "runs": 1, "hasExtraTrainingData": row.has_extra_training_data}
    by = "EfficientSED and PretrainedSED" if row.data == AUDIOSET_STRONG else paper.title  # those two score alike
    conditions = {"data": row.data, "published by": by}
    return names | {
        "scores": scores,
        "costs": costs,
        "conditions": conditions,
        "provenance": [pair for pair in provenance if pair[1]],
    }


def _clips(key: str) -> str:
    return f"per {AXIS_SECONDS:g} s" if COMPLEXITY_METRICS[key].power > 0 else ""


def plain(values: Mapping[str, Any], prefix: str = "") -> str:
    """Nested values as `key=value` pairs."""
    parts = [
        plain(value, f"{prefix}{key}.") if isinstance(value, Mapping) else f"{prefix}{key}={value}"
        for key, value in values.items()
    ]
    return " ".join(part for part in parts if part)
