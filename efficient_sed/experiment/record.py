"""Results and costs as rows of a CSV that name their conditions."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from efficient_sed.errors import DataError
from efficient_sed.experiment.differences import data_words, differing_options, in_words
from efficient_sed.experiment.repeats import fold_of, group_repeats, mean_and_sd
from efficient_sed.experiment.result_file import main_score
from efficient_sed.files.atomic import write_atomically
from efficient_sed.metrics.contracts import Score, all_scores

COMPLEXITY_COLUMNS = (
    "model", "params", "macs", "macs_deepspeed", "macs_published", "macs_note", "macs_frontend", "seconds",
    "clips_per_s", "clips_per_s_q1", "clips_per_s_q3", "batch_size", "latency_ms", "peak_memory_mb", "precision",
    "device", "torch", "commit", "created", "energy_j_per_clip", "energy_method", "activations", "activations_peak",
)  # fmt: skip
MEASURED = (
    "clips_per_s", "clips_per_s_q1", "clips_per_s_q3", "latency_ms", "peak_memory_mb", "energy_j_per_clip",
    "training_kwh",
)  # fmt: skip
RUN_COLUMNS = (
    "seed", "fold", "signature", "data", "manifest_hash", "clips_scored", "median_frames", "epochs", "steps",
    "trained_on",
)  # fmt: skip
LATE_COLUMNS = ("energy_j_per_clip", "energy_method", "training_kwh", "activations", "activations_peak")
"""Of a CSV of results: they stand behind all others, so that scripts that read files by place go on to."""


def table_scores() -> tuple[Score, ...]:
    """Declared scores that have a column of their own, beside the one that leads."""
    return tuple(score for score in all_scores().values() if score.column)


def result_columns() -> tuple[str, ...]:
    """Columns of a CSV of results."""
    first = [score.key for score in table_scores() if not score.is_last_in_csv]
    last = [score.key for score in table_scores() if score.is_last_in_csv]
    spreads = [f"{key}_sd" for key in ("score", *first)]
    costs = [column for column in COMPLEXITY_COLUMNS[1:] if column not in LATE_COLUMNS]
    columns = ("model", "score", "metric", *first, "num_runs", *spreads, *RUN_COLUMNS, *costs)
    return (*columns, *last, *(f"{key}_sd" for key in last), *LATE_COLUMNS)


def complexity_row(record: Mapping[str, Any]) -> dict[str, Any]:
    """Flat columns of what a model costs, from a result or a benchmark record."""
    complexity = record["complexity"]
    environment = complexity.get("speed_environment") or record["environment"]
    # null where speed could not be measured
    throughput, latency = (complexity[key] or {} for key in ("throughput", "latency"))
    low, high = throughput.get("iqr", (None, None))
    return {
        "model": record["model"],
        "params": complexity["params"],
        "macs": complexity["macs"],
        "macs_deepspeed": complexity.get("macs_deepspeed"),
        "macs_published": complexity.get("macs_published"),  # not in results of early versions
        "macs_note": complexity.get("macs_note"),
        "macs_frontend": complexity["macs_by_part"]["frontend"],
        "seconds": complexity["seconds"],
        "clips_per_s": throughput.get("clips_per_s"),
        "clips_per_s_q1": low,
        "clips_per_s_q3": high,
        "batch_size": throughput.get("batch_size"),
        "latency_ms": latency.get("ms"),
        "peak_memory_mb": complexity.get("peak_memory_mb"),
        "precision": throughput.get("precision"),
        "device": throughput.get("device"),
        "torch": environment["versions"]["torch"],
        "commit": environment["commit"],
        "created": environment["created"],
        "energy_j_per_clip": complexity.get("energy_j_per_clip"),
        "energy_method": complexity.get("energy_method"),
        "activations": complexity.get("activations"),
        "activations_peak": complexity.get("activations_peak"),
    }


def result_row(result: Mapping[str, Any]) -> dict[str, Any]:
    """Flat columns of a run: score, conditions, cost.

    Versions are those of the training and, where others measured the speed, of that measurement too.
    """
    environment, costs = result["environment"], complexity_row(result)
    metrics, variant, training = result["metrics"], result["metrics"]["variant"], result["training"]
    score = main_score(result)
    return {
        **costs,
        "torch": _merge([environment["versions"]["torch"], costs["torch"]]),
        "commit": _merge([environment["commit"], costs["commit"]]),
        "created": environment["created"],
        "score": metrics[score.key],
        "metric": score.name,
        **{score.key: metrics.get(score.key) for score in table_scores()},
        "seed": result["seed"],
        "fold": fold_of(result),
        "signature": result["signature"],
        "data": result["data"]["name"],
        "manifest_hash": result["data"]["manifest_hash"],
        "clips_scored": metrics["coverage"]["clips_scored"],
        "median_frames": variant.get("median_frames"),
        "epochs": result["config"]["train"]["epochs"],
        "steps": training["steps"],
        "trained_on": training["device"],
        "training_kwh": training.get("energy_kwh"),
    }


def repeated_rows(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row per configuration: scores are means over its seeds, with standard deviations in columns of their own.

    Speed, memory and energy are medians. Other columns in which the runs differ, such as seed and signature, hold all
    values, with spaces between. "data_words" and "options" say in words what runs of one name differ in.
    """
    groups = group_repeats(results)
    firsts, words = [group[0] for group in groups], data_words(results)
    rows: list[dict[str, Any]] = []
    for group, options in zip(groups, in_words(differing_options(firsts)), strict=True):
        runs = [result_row(result) for result in group]
        merged = {column: _merge([run[column] for run in runs]) for column in runs[0]}
        measured = {column: [run[column] for run in runs if run[column] is not None] for column in MEASURED}
        merged |= {column: statistics.median(values) for column, values in measured.items() if values}
        for column in ("score", *(score.key for score in table_scores())):
            is_known = all(run[column] is not None for run in runs)
            merged[column], merged[f"{column}_sd"] = (
                mean_and_sd([run[column] for run in runs]) if is_known else (None, None)
            )
        data = words[group[0]["data"]["manifest_hash"]]
        rows.append(merged | {"num_runs": len(runs), "data_words": data, "options": options})
    return rows


def _merge(values: Sequence[Any]) -> Any:
    distinct = list(dict.fromkeys(value for value in values if value is not None)) or [None]
    return distinct[0] if len(distinct) == 1 else " ".join(str(value) for value in distinct)


def write_csv(path: Path, results: Sequence[Mapping[str, Any]]) -> Path:
    """One row per configuration with its conditions.

    Raises:
        DataError: If the file cannot be written.
    """
    write_rows(path, result_columns(), repeated_rows(results))
    return path


def write_rows(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a CSV file atomically; what a row has beside the columns is left out.

    Raises:
        DataError: If the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    try:
        write_atomically(path, text.getvalue().encode())
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from error
