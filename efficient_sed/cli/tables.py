"""Tables that the terminal shows: what models achieve, what they cost, and how fast they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from efficient_sed.cli.energy_notes import energy_notes
from efficient_sed.experiment.record import complexity_row, repeated_rows, table_scores
from efficient_sed.metrics.contracts import Score, all_scores


def result_table(results: Sequence[Mapping[str, Any]]) -> Table:
    """One row per configuration, the best score first; mean ± standard deviation where seeds were repeated."""
    rows = sorted(repeated_rows(results), key=lambda row: -row["score"])
    columns: dict[str, list[Score]] = {}  # by heading: those of which a run has one
    for score in table_scores():
        if any(row[score.key] is not None for row in rows):
            columns.setdefault(score.column, []).append(score)
    counts = [key for key in ("num_runs",) if any(row[key] > 1 for row in rows)]
    folds = [key for key in ("fold",) if any(row[key] is not None for row in rows)]
    table = Table(title="What it achieves and what it costs", title_justify="left", caption_justify="left")
    identity = ("model", *("runs" for _ in counts), "seed", *folds, "data", "metric")
    energy = _measured_energy(rows)
    for column in (*identity, "score", *columns, "parameters", "MACs", "clips/s", "ms a clip", *energy.values()):
        table.add_column(column, justify="left" if column in ("model", "data", "metric") else "right")
    by_name = {score.name: score for score in all_scores().values() if score.lead}
    for row in rows:
        texts = (
            "" if row[key] is None else str(row[key]) for key in ("model", *counts, "seed", *folds, "data", "metric")
        )
        own = [next((one for one in same if row[one.key] is not None), same[0]) for same in columns.values()]
        shown = [_with_sd(row, score.key, score) for score in own]
        used = (_number(row[key], ".3g") for key in energy)
        table.add_row(*texts, _with_sd(row, "score", by_name[row["metric"]]), *shown, *_costs(row), *used)
    return _with_conditions(table, rows, results)


def _measured_energy(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Headings of the columns of energy that any row has, by their keys."""
    headings = {"energy_j_per_clip": "J a clip", "training_kwh": "training kWh"}
    return {key: name for key, name in headings.items() if any(row[key] is not None for row in rows)}


def _with_sd(row: Mapping[str, Any], key: str, score: Score) -> str:
    value, spread = row[key], row[f"{key}_sd"]
    return score.show(value) + ("" if spread is None else f" ± {score.show(spread)}")


def complexity_table(records: Sequence[Mapping[str, Any]]) -> Table:
    """One row per model: what it costs, without scores."""
    rows = [complexity_row(record) for record in records]
    table = Table(title="What it costs", title_justify="left", caption_justify="left")
    for column in ("model", "parameters", "MACs", "clips/s", "ms a clip", "DeepSpeed's MACs", "peak MB"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for row in rows:
        deepspeed = "not installed" if row["macs_deepspeed"] is None else f"{row['macs_deepspeed'] / 1e6:,.1f} M"
        table.add_row(row["model"], *_costs(row), deepspeed, _number(row["peak_memory_mb"], ".0f"))
    return _with_conditions(table, rows, records)


def speed_table(records: Sequence[Mapping[str, Any]]) -> Table:
    """One row per mode, precision and batch of each model."""
    table = Table(title="How fast it is", title_justify="left", caption_justify="left")
    for column in (
        "model", "mode", "precision", "batch", "mel", "processes", "clips/s", "quartiles", "ms a pass", "95 %",
        "peak MB", "score difference", "J a clip",
    ):  # fmt: skip
        table.add_column(column, justify="left" if column in ("model", "mode", "precision", "mel") else "right")
    for record in records:
        for row in record["complexity"]["speeds"]:
            batch = (
                f"{row['batch_size']}"
                if row["micro_batch"] is None
                else f"{row['batch_size']} by {min(row['micro_batch'], row['batch_size'])}"
            )
            forms = {"peak_memory_mb": ".0f", "max_score_difference": ".0e", "energy_j_per_clip": ".3g"}
            others = (_number(row[key], form) for key, form in forms.items())
            precision = f"{row['precision']} autocast" if row["autocast"] else row["precision"]
            rate = f"{row['clips_per_s']:.1f}", "-".join(f"{value:.1f}" for value in row["iqr"])
            times = f"{row['latency_ms']:.1f}", f"{row['latency_p95_ms']:.1f}"
            processes = str(row["processes"])
            table.add_row(record["model"], row["mode"], precision, batch, row["mel"], processes, *rate, *times, *others)
    states = {
        f"{record['complexity']['throughput']['device']}, {_state(record['complexity']['speed_conditions'])}"
        for record in records
    }
    table.caption = "; ".join([*sorted(states), *energy_notes(records)])
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
    table.caption = f"clips/s: {'; '.join(conditions)}; latency at batch 1; front end {where}"
    return table
