"""Released models within a budget, in groups whose scores compare: by task, metric and data, real sounds first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from efficient_sed.errors import ConfigError

Row = dict[str, Any]
"""Facts of a model; with "scores", those of its card."""
TASKS = {"detection": "Detection", "tagging": "Tagging", "backbone": "Backbones to start a training from"}
DATA = {"audioset_strong": "AudioSet Strong", "audioset_weak": "AudioSet", "synthetic": "generated sounds"}
"""Data of a card's scores in words."""


class Budget(NamedTuple):
    """What a model may cost and has to achieve; None for no limit."""

    max_macs: int | None = None
    """Of a clip of 10 s."""
    max_params: int | None = None
    min_score: float | None = None
    """By the first score of its card."""

    def select(self, rows: Sequence[Row]) -> list[Row]:
        """The rows of models that meet it.

        Raises:
            ConfigError: If none does; the message names the nearest one of each group.
        """
        kept = [row for row in rows if self._affords(row) and (self.min_score or 0) <= leading_score(row)]
        if rows and not kept:
            if affordable := [row for row in rows if self._affords(row)]:
                groups = group_rows(sorted(affordable, key=lambda row: (group_key(row), -leading_score(row))))
                bests = [(title, group[0]) for title, group in groups.items() if group[0]["scores"]]
                named = (f"{best['name']}, {title}: {leading_score(best):.3f}" for title, best in bests)
                nearest = f"the best within the budget: {'; '.join(named) or 'none has a score'}"
            else:
                cheapest = min(rows, key=lambda row: (row["macs"], row["params"]))
                costs = f"{cheapest['macs']:,} MACs and {cheapest['params']:,} parameters"
                nearest = f"the cheapest is {cheapest['name']} with {costs}"
            raise ConfigError(f"{self}: no model meets that; {nearest}")
        return kept

    def _affords(self, row: Row) -> bool:
        limits = ((row["macs"], self.max_macs), (row["params"], self.max_params))
        return all(limit is None or cost <= limit for cost, limit in limits)

    def __str__(self) -> str:
        options = zip(self._fields, self, strict=True)
        return " ".join(f"--{name.replace('_', '-')} {value}" for name, value in options if value is not None)


def group_key(row: Row) -> tuple[bool, bool, int, str, str]:
    """Sorts models with a score first, of them those of real sounds, then by task; equal if their scores compare."""
    score = row["scores"][0] if row["scores"] else {"data": "", "metric": ""}
    return not row["scores"], score["data"] == "synthetic", [*TASKS].index(row["task"]), score["metric"], score["data"]


def group_title(row: Row) -> str:
    """The group of a model in words: "Detection: PSDS1 macro on AudioSet Strong"."""
    if not row["scores"]:
        return TASKS[row["task"]]
    return f"{TASKS[row['task']]}: {row['scores'][0]['metric']} on {DATA[row['scores'][0]['data']]}"


def group_rows(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows by the title of their group, in the order in which they come."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(group_title(row), []).append(row)
    return groups


def leading_score(row: Row) -> float:
    """Value of the first score of a model; 0 without one."""
    return float(row["scores"][0]["value"]) if row.get("scores") else 0.0
