"""Tables of `efficient-sed score`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from efficient_sed.data.scores.clips import ScoreTables
from efficient_sed.experiment.result_file import is_number
from efficient_sed.experiment.score_tables import TUNED
from efficient_sed.metrics.contracts import all_scores


def metrics_table(result: Mapping[str, Any]) -> Table:
    """A row a score: as the tables have it, and after post-processing where there is one."""
    metrics = result["metrics"]
    is_tuned = any(key.endswith(TUNED) for key in metrics)
    table = Table(title=f"Scores of {result['model']}", title_justify="left", caption_justify="left")
    for column in ("score", "value", "95 %", *(["post-processed"] if is_tuned else [])):
        table.add_column(column, justify="left" if column == "score" else "right")
    for key, score in all_scores("detection").items():
        if metrics.get(key) is None:
            continue
        ends = metrics.get(f"{key}_ci95")
        spread = "" if ends is None else f"{score.show(ends[0])} to {score.show(ends[1])}"
        tuned = [score.show(metrics.get(f"{key}{TUNED}"))] if is_tuned else []
        table.add_row(score.name, score.show(metrics[key]), spread, *tuned)
    clips, num_classes = metrics["coverage"]["clips_scored"], result["data"]["num_classes"]
    table.caption = f"{clips:,} clips, {num_classes} classes, ground truth {result['data']['manifest_hash']}"
    return table


def class_table(result: Mapping[str, Any], tables: ScoreTables) -> Table:
    """A row a class: its events, and every score that there is by class."""
    labels = [event.label for events in tables.events.values() for event in events]
    by_class = {
        key: values
        for key, values in result["metrics"].items()
        if isinstance(values, Mapping) and values and set(values) <= set(tables.classes)
    }
    table = Table(title="Scores by class", title_justify="left")
    for column in ("class", "events", *(heading(key, result["metrics"]) for key in by_class)):
        table.add_column(column, justify="left" if column == "class" else "right")
    for label in tables.classes:
        values = (own.get(label) for own in by_class.values())
        shown = (f"{value:.3f}" if is_number(value) else "" for value in values)
        table.add_row(label, str(labels.count(label)), *shown)
    return table


def heading(key: str, metrics: Mapping[str, Any]) -> str:
    """Of a column of scores by class, by their key in a result."""
    name = key.removesuffix(TUNED)
    psds = str(metrics["variant"].get("metric", "psds")).upper()
    text = psds if name == "per_class" else name.removesuffix("_per_class").replace("_", " ")
    return f"{text}, post-processed" if key.endswith(TUNED) else text
