"""Results as tables for the terminal and rows of a CSV that name their conditions."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from efficient_sed.errors import DataError
from efficient_sed.experiment.repeats import fold_of, group_repeats, mean_and_sd
from efficient_sed.experiment.result_file import PSDS_SCORES, main_score
from efficient_sed.files.atomic import write_atomically

COMPLEXITY_COLUMNS = (
    "model", "params", "macs", "macs_deepspeed", "macs_published", "macs_note", "macs_frontend", "seconds", "clips_per_s", "clips_per_s_q1", "clips_per_s_q3", "batch_size",
    "latency_ms", "peak_memory_mb", "precision", "device", "torch", "commit", "created",
)  # fmt: skip
WITH_ALPHA_ST = tuple(key.removesuffix("_macro") for key in PSDS_SCORES)
SCORES = ("score", *WITH_ALPHA_ST, "onset_f", "segment_error_rate")
MEASURED = ("clips_per_s", "clips_per_s_q1", "clips_per_s_q3", "latency_ms", "peak_memory_mb")
RESULT_COLUMNS = (
    "model", "score", "metric", *SCORES[1:], "num_runs", *(f"{score}_sd" for score in SCORES), "seed", "fold", "signature", "data", "manifest_hash",
    "clips_scored", "median_frames", "epochs", "steps", "trained_on", *COMPLEXITY_COLUMNS[1:],
)  # fmt: skip


def complexity_row(record: Mapping[str, Any]) -> dict[str, Any]:
    """Flat columns of what a model costs, from a result or a benchmark record."""
    complexity = record["complexity"]
    environment = complexity.get("speed_environment") or record["environment"]
    throughput, latency = (
        complexity[key] or {} for key in ("throughput", "latency")
    )  # null where speed could not be measured
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
    }


def result_row(result: Mapping[str, Any]) -> dict[str, Any]:
    """Flat columns of a run: score, conditions, cost. Versions are those of the training and, where others measured its speed, those too."""
    environment, costs = result["environment"], complexity_row(result)
    metrics, variant, training = result["metrics"], result["metrics"]["variant"], result["training"]
    score, title = main_score(result)
    return {
        **costs,
        "torch": _merge([environment["versions"]["torch"], costs["torch"]]),
        "commit": _merge([environment["commit"], costs["commit"]]),
        "created": environment["created"],
        "score": metrics[score],
        "metric": title,
        **{key: metrics.get(key) for key in WITH_ALPHA_ST},
        "onset_f": metrics.get("onset_f"),
        "segment_error_rate": metrics.get("segment_error_rate"),
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
    }


def repeated_rows(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row per configuration: scores are means over its seeds, with standard deviations in columns of their own; of what was measured, medians.

    Other columns in which the runs differ, such as seed and signature, hold all values, with spaces between.
    """
    rows = []
    for group in group_repeats(results):
        runs = [result_row(result) for result in group]
        merged = {column: _merge([run[column] for run in runs]) for column in runs[0]}
        measured = {column: [run[column] for run in runs if run[column] is not None] for column in MEASURED}
        merged |= {column: statistics.median(values) for column, values in measured.items() if values}
        for column in SCORES:
            is_known = all(run[column] is not None for run in runs)
            merged[column], merged[f"{column}_sd"] = (
                mean_and_sd([run[column] for run in runs]) if is_known else (None, None)
            )
        rows.append(merged | {"num_runs": len(runs)})
    return rows


def _merge(values: Sequence[Any]) -> Any:
    distinct = list(dict.fromkeys(value for value in values if value is not None)) or [None]
    return distinct[0] if len(distinct) == 1 else " ".join(str(value) for value in distinct)


def result_table(results: Sequence[Mapping[str, Any]]) -> Table:
    """One row per configuration, the best score first; mean ± standard deviation where seeds were repeated."""
    rows = sorted(repeated_rows(results), key=lambda row: -row["score"])
    table = Table(title="What it achieves and what it costs", title_justify="left")
    events = (
        {"onset F": "onset_f", "error rate": "segment_error_rate"}
        if any(row["onset_f"] is not None for row in rows)
        else {}
    )
    runs = ("runs",) if any(row["num_runs"] > 1 for row in rows) else ()
    folds = ("fold",) if any(row["fold"] is not None for row in rows) else ()
    for column in (
        "model",
        *runs,
        "seed",
        *folds,
        "data",
        "metric",
        "score",
        "with alpha_st",
        *events,
        "parameters",
        "MACs",
        "clips/s",
        "ms a clip",
    ):
        table.add_column(column, justify="left" if column in ("model", "data", "metric") else "right")
    for row in rows:
        counted = [str(row["num_runs"])] * len(runs)
        with_alpha_st = next((key for key in WITH_ALPHA_ST if row[key] is not None), WITH_ALPHA_ST[0])
        scores = (_with_sd(row, key) for key in ("score", with_alpha_st, *events.values()))
        table.add_row(
            row["model"],
            *counted,
            str(row["seed"]),
            *("" if row[key] is None else str(row[key]) for key in folds),
            row["data"],
            row["metric"],
            *scores,
            *_costs(row),
        )
    return _with_conditions(table, rows, results)


def _with_sd(row: Mapping[str, Any], key: str) -> str:
    spread = row[f"{key}_sd"]
    return "" if row[key] is None else f"{row[key]:.3f}" if spread is None else f"{row[key]:.3f} ± {spread:.3f}"


def complexity_table(records: Sequence[Mapping[str, Any]]) -> Table:
    """One row per model: what it costs, without scores."""
    rows = [complexity_row(record) for record in records]
    table = Table(title="What it costs", title_justify="left")
    for column in ("model", "parameters", "MACs", "clips/s", "ms a clip", "DeepSpeed's MACs", "peak MB"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for row in rows:
        deepspeed = "not installed" if row["macs_deepspeed"] is None else f"{row['macs_deepspeed'] / 1e6:,.1f} M"
        table.add_row(row["model"], *_costs(row), deepspeed, _number(row["peak_memory_mb"], ".0f"))
    return _with_conditions(table, rows, records)


def speed_table(records: Sequence[Mapping[str, Any]]) -> Table:
    """One row per mode, precision and batch of each model."""
    table = Table(title="How fast it is", title_justify="left")
    for column in (
        "model",
        "mode",
        "precision",
        "batch",
        "mel",
        "processes",
        "clips/s",
        "quartiles",
        "ms a pass",
        "95 %",
        "peak MB",
        "score difference",
        "J a clip",
    ):
        table.add_column(column, justify="left" if column in ("model", "mode", "precision", "mel") else "right")
    for record in records:
        for row in record["complexity"]["speeds"]:
            batch = (
                f"{row['batch_size']}"
                if row["micro_batch"] is None
                else f"{row['batch_size']} by {min(row['micro_batch'], row['batch_size'])}"
            )
            forms = {"peak_memory_mb": ".0f", "max_score_difference": ".0e", "joules_per_clip": ".3g"}
            others = (_number(row[key], form) for key, form in forms.items())
            precision = f"{row['precision']} autocast" if row["autocast"] else row["precision"]
            rate = f"{row['clips_per_s']:.1f}", "-".join(f"{value:.1f}" for value in row["iqr"])
            times = f"{row['latency_ms']:.1f}", f"{row['latency_p95_ms']:.1f}"
            table.add_row(
                record["model"],
                row["mode"],
                precision,
                batch,
                row["mel"],
                str(row["processes"]),
                *rate,
                *times,
                *others,
            )
    states = {
        f"{record['complexity']['throughput']['device']}, {_state(record['complexity']['speed_conditions'])}"
        for record in records
    }
    table.caption, table.caption_justify = "; ".join(sorted(states)), "left"
    return table


def _state(conditions: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {'unknown' if value is None else value}" for key, value in conditions.items())


def _costs(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return (
        f"{row['params']:,}",
        f"{row['macs'] / 1e6:,.1f} M",
        _number(row["clips_per_s"], ".1f"),
        _number(row["latency_ms"], ".1f"),
    )


def _number(value: float | None, form: str) -> str:
    """Empty for what was not measured."""
    return "" if value is None else f"{value:{form}}"


def _with_conditions(table: Table, rows: Sequence[Mapping[str, Any]], records: Sequence[Mapping[str, Any]]) -> Table:
    measured = [row for row in rows if row["device"] is not None]
    if not measured:
        return table
    conditions = sorted(
        {
            f"{row['device']}, {row['precision']}, batch {row['batch_size']}, clips of {row['seconds']:g} s"
            for row in measured
        }
    )
    frontend = {True: "inside", False: "left out"}
    modes = (str((record["complexity"]["throughput"] or {}).get("mode")) for record in records)
    where = " or ".join(frontend[is_inside] for is_inside in sorted({mode.endswith("from waveform") for mode in modes}))
    table.caption, table.caption_justify = (
        f"clips/s: {'; '.join(conditions)}; latency at batch 1; front end {where}",
        "left",
    )
    return table


def write_csv(path: Path, results: Sequence[Mapping[str, Any]]) -> Path:
    """One row per configuration with its conditions.

    Raises:
        DataError: If the file cannot be written.
    """
    _write(path, RESULT_COLUMNS, repeated_rows(results))
    return path


def append_csv(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Add one row per benchmarked model to a file that may exist.

    Raises:
        DataError: If the file has other columns or cannot be written; it is left as it was.
    """
    _write(path, COMPLEXITY_COLUMNS, [*read_benchmark_csv(path), *(complexity_row(record) for record in records)])


def read_benchmark_csv(path: Path) -> list[dict[str, Any]]:
    """Rows of a file that `append_csv` made; none if there is no such file.

    Raises:
        DataError: If it is something else.
    """
    if path.is_dir():
        raise DataError(f"{path}: is a directory; give a file")
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COMPLEXITY_COLUMNS:
            raise DataError(f"{path}: its columns are not those of a benchmark; give another file")
        return list(reader)


def _write(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    try:
        write_atomically(path, text.getvalue().encode())
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from error
