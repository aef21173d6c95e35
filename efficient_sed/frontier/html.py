"""One HTML file to look around in: any score against any cost, of our runs and of the published tables.

The page is our own plain JavaScript and SVG, some 40 kB, and not plotly: a page with plotly.js inside has 5 MB, which no mail or
repository takes gladly, opens slowly on a phone, and its points cannot be reached with the keyboard. Nothing is fetched: a content security policy
forbids it, and lets no script run but the page's own. Values come from the results; `page/*.js` only draws them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Any

from efficient_sed import __version__
from efficient_sed.experiment.repeats import group_repeats, mean_and_sd
from efficient_sed.experiment.result_file import main_score
from efficient_sed.files.pages import write_html
from efficient_sed.frontier.plot import COLOURS
from efficient_sed.frontier.points import (
    AXIS_SECONDS,
    COMPLEXITY_METRICS,
    SCORES,
    complexity_values,
    distinct_labels,
    rounded,
    score_conditions,
    score_interval,
    speed_conditions,
)
from efficient_sed.frontier.published import PAPERS, PublishedModel, read_published_models

PAGE = Path(__file__).parent / "page"
SCRIPTS = ("geometry.js", "chart.js", "table.js", "page.js")
OTHER_COLOURS = ("#8C6D31", "#B8336A", "#4B7F52", "#7A6FB0", "#C1784B", "#3D8B8B", "#8A8A3A", "#A35D8F")


def write_page(results: Iterable[tuple[Path, Mapping[str, Any]]], output: Path) -> Path:
    """Write finished runs, each with its folder, and all published tables as one HTML file.

    Raises:
        DataError: If the file cannot be written.
    """
    write_html(PAGE, SCRIPTS, page_data(results), output)
    return output


def page_data(results: Iterable[tuple[Path, Mapping[str, Any]]]) -> dict[str, Any]:
    """All that the page shows: axes, families with colours, sets of comparable scores, and a record for each model."""
    runs = list(results)
    folders = {str(result["signature"]): folder for folder, result in runs}
    repeats = group_repeats(result for _, result in runs)
    records = [
        _own_record(group, label, folders) for group, label in zip(repeats, distinct_labels(repeats), strict=True)
    ]
    records += [_published_record(model) for model in read_published_models()]
    scores = {key for record in records for key in record["scores"]}
    costs = {key for record in records for key in record["costs"]}
    others = cycle(OTHER_COLOURS)
    families = {
        family: COLOURS[family] if family in COLOURS else next(others)
        for family in dict.fromkeys(record["family"] for record in records)
    }
    return {
        "version": __version__,
        "created": datetime.now(UTC).isoformat(timespec="minutes"),
        "scores": {key: {"label": SCORES[key][0], "isHigherBetter": SCORES[key][1]} for key in SCORES if key in scores}
        | {key: {"label": key, "isHigherBetter": None} for key in sorted(scores - SCORES.keys())},
        "costs": {
            key: {"label": metric.label, "isHigherBetter": not metric.is_lower_better}
            for key, metric in COMPLEXITY_METRICS.items()
            if key in costs
        },
        "first": main_score(runs[0][1])[0] if runs else "psds1_macro",
        "families": families,
        "groups": _name_groups(records),
        "records": records,
    }


def _own_record(group: Sequence[Mapping[str, Any]], label: str, folders: Mapping[str, Path]) -> dict[str, Any]:
    result = group[0]
    metrics = [each["metrics"] for each in group]
    complexity, environment = result["complexity"], result["environment"]
    scores = {
        key: _score(metrics, key)
        for key, value in metrics[0].items()
        if _is_number(value) and all(_is_number(each.get(key)) for each in metrics)
    }
    measured, clips = speed_conditions(group), f"clips of {complexity['seconds']:g} s"
    machine = measured.rsplit(", batch", 1)[0]
    conditions = {"throughput_clips_s": measured, "latency_ms": f"{machine}, {clips}"}
    memory = next(
        (memory for each in group if (memory := each["complexity"].get("peak_memory_of"))), "memory"
    )  # none of a run without a speed
    conditions["peak_memory_mb"] = f"{memory}, {measured}, {clips}"
    costs = {key: [value, conditions.get(key, _clips(key))] for key, value in complexity_values(group).items()}
    versions = ", ".join(f"{name} {number}" for name, number in environment["versions"].items() if number)
    provenance = [
        ("data", f"{result['data']['name']}, hash {result['data']['manifest_hash']}"),
        ("clips scored", str(result["metrics"].get("coverage", {}).get("clips_scored", ""))),
        ("metric variant", _plain(result["metrics"]["variant"])),
        (
            "measured with",
            clips
            if complexity["seconds"] == AXIS_SECONDS
            else f"{clips}; MACs and throughput: as many as {AXIS_SECONDS:g} s of sound take",
        ),
        ("note on MACs", complexity.get("macs_note") or ""),
        ("speed measured on", measured),
        ("speed measured with", "; ".join(dict.fromkeys(filter(None, map(_speed_software, group))))),
        ("device", environment.get("device", "")),
        ("commit", ", ".join(dict.fromkeys(str(each["environment"]["commit"]) for each in group))),
        ("versions", versions),
    ]
    for each in group:
        main = ", ".join(f"{key} {each['metrics'][key]}" for key in scores)
        provenance.append(
            (
                f"seed {each['seed']}",
                f"{main}; signature {each['signature']}, {each['environment']['created']}, {folders[str(each['signature'])]}",
            )
        )
    provenance.append(
        ("configuration", _plain({key: value for key, value in result["config"].items() if key != "seed"}))
    )
    names = {"label": label, "model": result["model"], "backbone": result["backbone"], "family": result["head"]}
    names |= {"source": "ours", "runs": len(group), "hasExtraTrainingData": False}
    return names | {
        "scores": scores,
        "costs": costs,
        "conditions": score_conditions(result),
        "provenance": [pair for pair in provenance if pair[1]],
    }


def _speed_software(result: Mapping[str, Any]) -> str:
    """What measured the speed of a run; empty for results of early versions, of which "environment" is all that is known."""
    environment = result["complexity"].get("speed_environment")
    return f"torch {environment['versions']['torch']}, commit {environment['commit']}" if environment else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _score(metrics: Sequence[Mapping[str, Any]], key: str) -> list[Any]:
    """Value, low and high end of the error bar or none, and what the bar is."""
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


def _published_record(row: PublishedModel) -> dict[str, Any]:
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
    paper = PAPERS[row.table]
    provenance = [
        ("source", f"{paper.title} {paper.address}".strip()),
        ("file", f"benchmarks/published/{row.table}.csv"),
        ("data", row.data),
        ("released as", row.label),
        ("score", "read off a figure, ±0.02" if row.score_source == "figure" else "as in the paper's table"),
        ("speed measured on", row.speed),
        (
            "note",
            "; ".join(
                filter(
                    None, (row.note, "learnt from weak labels, too: on no front" if row.has_extra_training_data else "")
                )
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
    conditions = {"data": row.data, "published by": paper.title}
    return names | {
        "scores": scores,
        "costs": costs,
        "conditions": conditions,
        "provenance": [pair for pair in provenance if pair[1]],
    }


def _clips(key: str) -> str:
    return f"per {AXIS_SECONDS:g} s" if key.startswith("macs") else ""


def _plain(values: Mapping[str, Any], prefix: str = "") -> str:
    """Nested values as `key=value` pairs."""
    parts = [
        _plain(value, f"{prefix}{key}.") if isinstance(value, Mapping) else f"{prefix}{key}={value}"
        for key, value in values.items()
    ]
    return " ".join(part for part in parts if part)


def _name_groups(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sets of records whose scores compare, ours first, each named by its data and what tells it from others on the same data.

    Replaces each record's "conditions" by "group", an index into the sets.
    """
    found: list[dict[str, Any]] = []
    for record in records:
        conditions = record.pop("conditions")
        if conditions not in found:
            found.append(conditions)
        record["group"] = found.index(conditions)
    groups = []
    for conditions in found:
        kin = [other for other in found if other["data"] == conditions["data"]]
        differing = [
            key for key in conditions if key != "data" and any(other.get(key) != conditions[key] for other in kin)
        ]
        publisher = [f"published: {conditions['published by']}"] if "published by" in conditions else []
        own = [f"{key} {conditions[key]}" for key in differing if key != "published by"]
        groups.append(
            {
                "label": ", ".join([conditions["data"], *publisher, *own]),
                "isPublished": bool(publisher),
                "conditions": _plain(conditions),
            }
        )
    return groups
