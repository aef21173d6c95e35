"""A table of what is found of each class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from efficient_sed.metrics.contracts import TUNED
from efficient_sed.postprocessing.carried import DEFAULT_THRESHOLD

NEGATIVES = "negatives_per_hour"
COUNTS = {
    "events": ("events", "d"),
    "threshold": ("threshold", ".2f"),
    "found": ("found", "d"),
    "missed": ("missed", "d"),
    "false_alarms_per_hour": ("false alarms an hour", ".1f"),
    "f1": ("event F1", ".3f"),
    NEGATIVES: ("on negatives an hour", ".1f"),
}
"""Heading and format of what is counted of a class's events."""
MOST_ROWS = 60


def class_table(metrics: Mapping[str, Any], title: str) -> Table:
    """A row a class: its PSDS, its events, and what is found of them; where post-processing was tuned, with it.

    Args:
        metrics: Of a result of detection.
        title: What was scored.
    """
    sides = [side for side in ("", TUNED) if f"per_class{side}" in metrics]
    counts = metrics.get(f"per_class_events{sides[-1]}", {})
    negatives = metrics.get(f"per_class_negatives{sides[-1]}", {})
    columns = {key: column for key, column in COUNTS.items() if counts and (negatives or key != NEGATIVES)}
    table = Table(title=f"{title}, by class", title_justify="left", caption_justify="left")
    table.add_column("class")
    name = str(metrics["variant"].get("metric", "psds")).upper()
    psds = [name if side == "" else f"{name} tuned" for side in sides]
    for column in (*psds, *(heading for heading, _ in columns.values())):
        table.add_column(column, justify="right")
    labels = list(counts or metrics["per_class"])
    shown = set(sorted(labels, key=lambda label: -counts.get(label, {}).get("events", 0))[:MOST_ROWS])
    for label in (label for label in labels if label in shown):
        areas = (_cell(metrics[f"per_class{side}"].get(label), ".3f") for side in sides)
        found = counts.get(label, {}) | {NEGATIVES: negatives.get(label, {}).get("false_alarms_per_hour")}
        own = (_cell(found.get(key), form) for key, (_, form) in columns.items())
        table.add_row(label, *areas, *own)
    left_out = len(labels) - len(shown)
    rest = f"; {left_out} classes with fewer events are left out here, the result has them" if left_out else ""
    is_fixed = {own.get("threshold") for own in counts.values()} <= {DEFAULT_THRESHOLD}
    how = f"of {DEFAULT_THRESHOLD:g}" if is_fixed else "tuned on validation"
    table.caption = f"events within collars, at thresholds {how}{rest}" if counts else rest.removeprefix("; ")
    return table


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else f"{value:{form}}"
