"""Tables of `efficient-sed score`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from efficient_sed.metrics.contracts import TUNED, Score, all_scores


def metrics_table(result: Mapping[str, Any]) -> Table:
    """A row a score: as the tables have it, and after post-processing where there is one."""
    metrics = result["metrics"]
    is_tuned = any(key.endswith(TUNED) for key in metrics)
    table = Table(title=f"Scores of {result['model']}", title_justify="left", caption_justify="left")
    for column in ("score", "value", "95 %", *(["post-processed", "95 %"] if is_tuned else [])):
        table.add_column(column, justify="left" if column == "score" else "right")
    for key, score in all_scores("detection").items():
        if metrics.get(key) is None:
            continue
        keys = (key, f"{key}{TUNED}") if is_tuned else (key,)
        shown = ((score.show(metrics.get(each)), _interval(metrics.get(f"{each}_ci95"), score)) for each in keys)
        table.add_row(score.name, *(text for pair in shown for text in pair))
    return table


def _interval(ends: Sequence[float] | None, score: Score) -> str:
    return "" if ends is None else f"{score.show(ends[0])} to {score.show(ends[1])}"
