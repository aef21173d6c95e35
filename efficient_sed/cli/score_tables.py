"""Tables of `efficient-sed score`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from efficient_sed.metrics.contracts import TUNED, all_scores

COUNTS = {
    "events": ("events", "d"),
    "threshold": ("threshold", ".2f"),
    "found": ("found", "d"),
    "missed": ("missed", "d"),
    "false_alarms_per_hour": ("false alarms an hour", ".1f"),
    "f1": ("event F1", ".3f"),
}
"""Heading and format of what is counted of a class's events."""


def metrics_table(result: Mapping[str, Any]) -> Table:
    """A row a score: as the tables have it, and after post-processing where there is one."""
    metrics = result["metrics"]
    gains = {each["metric"]: each for each in metrics.get("gain_of_tuning", {}).values()}
    table = Table(title=f"Scores of {result['model']}", title_justify="left")
    for column in ("score", "value", "95 %", *(["post-processed", "gain", "95 % of gain"] if gains else [])):
        table.add_column(column, justify="left" if column == "score" else "right")
    for key, score in all_scores("detection").items():
        if metrics.get(key) is None:
            continue
        cells = [score.show(metrics[key]), _interval(metrics.get(f"{key}_ci95"), score.form)]
        if gains:
            gain = gains.get(key, {})
            spread = _interval(gain.get("gain_ci95"), "+.3f")
            cells += [score.show(metrics.get(f"{key}{TUNED}")), _cell(gain.get("gain"), "+.3f"), spread]
        table.add_row(score.name, *cells)
    return table


def _interval(ends: Sequence[float] | None, form: str) -> str:
    return "" if ends is None else f"{ends[0]:{form}} to {ends[1]:{form}}"


def class_tables(metrics: Mapping[str, Any], classes: Sequence[str]) -> list[Table]:
    """A row a class: its events, what is found of them, and its PSDS; a second table after post-processing.

    Args:
        metrics: Of a result.
        classes: Labels that are evaluated.
    """
    titles = {"": "Scores by class", TUNED: "Scores by class, post-processed"}
    return [
        _class_table(metrics, classes, side, title) for side, title in titles.items() if f"per_class{side}" in metrics
    ]


def _class_table(metrics: Mapping[str, Any], classes: Sequence[str], side: str, title: str) -> Table:
    psds, counts = metrics[f"per_class{side}"], metrics.get(f"per_class_events{side}", {})
    columns = COUNTS if counts else {}
    table = Table(title=title, title_justify="left")
    table.add_column("class")
    for column in (str(metrics["variant"].get("metric", "psds")).upper(), *(name for name, _ in columns.values())):
        table.add_column(column, justify="right")
    for label in classes:
        own = (_cell(counts.get(label, {}).get(key), form) for key, (_, form) in columns.items())
        table.add_row(label, _cell(psds.get(label), ".3f"), *own)
    return table


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else f"{value:{form}}"
