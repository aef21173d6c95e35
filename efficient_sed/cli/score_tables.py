"""Tables of `efficient-sed score`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from efficient_sed.metrics.contracts import TUNED, all_scores


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
            cells += [score.show(metrics.get(f"{key}{TUNED}")), f"{gain['gain']:+.3f}" if gain else "", spread]
        table.add_row(score.name, *cells)
    return table


def _interval(ends: Sequence[float] | None, form: str) -> str:
    return "" if ends is None else f"{ends[0]:{form}} to {ends[1]:{form}}"
