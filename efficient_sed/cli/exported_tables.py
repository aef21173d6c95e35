"""Tables about exported models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from efficient_sed.benchmark.clock import ENERGY
from efficient_sed.cli.energy_notes import energy_notes
from efficient_sed.machine.environment import cpu_name

if TYPE_CHECKING:  # it needs PyTorch, which a board that measures does without
    from efficient_sed.export.compared import Comparison

COSTS = ("MB", "clips/s", "ms a clip", "95 %", "load ms", "memory MB")


def exported_table(records: Sequence[Mapping[str, Any]]) -> Table:
    """What exported models cost; records as `benchmark_exported` returns them."""
    table = Table(title="What it costs, exported", title_justify="left", caption_justify="left")
    for column in (
        "model", "precision", "engine", "score", "parameters", "MACs", "clips/s", "quartiles", "ms a clip", "95 %",
        "self-test", "J a clip",
    ):  # fmt: skip
        table.add_column(column, justify="left" if column in ("model", "precision", "engine") else "right")
    for record in records:
        costs, score = record["complexity"], record["score"]
        speed, latency = costs["throughput"], costs["latency"]
        counts = (
            "" if costs["params"] is None else f"{costs['params']:,}",
            "" if costs["macs"] is None else f"{costs['macs'] / 1e6:,.1f} M",
        )
        rate = f"{speed['clips_per_s']:.1f}", "-".join(f"{value:.1f}" for value in speed["iqr"])
        scored = "" if score is None else f"{score['value']:.4f}"
        table.add_row(
            record["model"],
            speed["precision"],
            speed["mode"],
            scored,
            *counts,
            *rate,
            f"{latency['ms']:.1f}",
            f"{latency['p95_ms']:.1f}",
            f"{record['self_test']['difference']:.0e}",
            "" if costs[ENERGY] is None else f"{costs[ENERGY]:.3g}",
        )
    costs_of_all = [record["complexity"] for record in records]
    measured = sorted(
        {f"{costs['throughput']['device']}, clips of {costs['seconds']:g} s one at a time" for costs in costs_of_all}
    )
    memory = [
        f"ready after {record['complexity']['load_ms']:.0f} ms, whole process at most {peak:.0f} MB"
        for record in records
        if (peak := record["complexity"]["peak_memory_mb"]) is not None
    ]
    test = "self-test: largest difference from PyTorch's scores, as a share of the highest one"
    table.caption = "; ".join([*measured, *memory, test, *energy_notes(records)])
    return table


def precisions_table(comparison: Comparison) -> Table:
    """What each precision of a model scores and costs."""
    title = f"{comparison.model_name}: formats, precisions and engines"
    table = Table(title=title, title_justify="left", caption_justify="left")
    has_events = any(row.event_f1 is not None for row in comparison.rows)
    words = ("format", "precision", "engine")
    for column in (*words, comparison.metric, "change", *(("event F1",) if has_events else ()), *COSTS):
        table.add_column(column, justify="left" if column in words else "right")
    for row in comparison.rows:
        table.add_row(
            row.target,
            row.precision,
            row.engine,
            f"{row.score:.4f}",
            f"{row.score - comparison.reference.score:+.4f}",
            *([_shown(row.event_f1, ".3f")] if has_events else []),
            f"{row.num_bytes / 1e6:.2f}",
            f"{row.pace.clips_per_s:.1f}",
            f"{row.pace.latency_ms:.1f}",
            f"{row.pace.latency_p95_ms:.1f}",
            _shown(row.load_ms, ".0f"),
            _shown(row.peak_memory_mb, ".0f"),
        )
    threads = "one thread" if comparison.num_threads == 1 else f"{comparison.num_threads} threads"
    table.caption = (
        f"scores: {comparison.data}; speed: {cpu_name()}, {threads}, one clip at a time, input to scores, in turn; "
        "load: a fresh process imports the engine and opens the file; memory: peak of that process"
    )
    return table


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
