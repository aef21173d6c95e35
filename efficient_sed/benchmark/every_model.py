"""Every model that has a cost to state: what is released, and what can be composed."""

from __future__ import annotations

from collections.abc import Sequence

from efficient_sed.benchmark.model_groups import Row
from efficient_sed.benchmark.model_list import list_composable, list_released
from efficient_sed.data.labels import NUM_AUDIOSET_STRONG
from efficient_sed.errors import ConfigError
from efficient_sed.models.weights.cards import list_cards, nearest_names


def every_model(patterns: Sequence[str] = ("*",)) -> list[Row]:
    """Name, parameters and MACs of each, the cheapest first.

    Backbones that only start a training are left out, and so are architectures with as many classes as a released
    model of theirs, which stands for them.

    Args:
        patterns: As for file names: `fmn10*`.

    Raises:
        ConfigError: If no name matches one of them.
    """
    rows: dict[str, Row] = {}
    for pattern in patterns:
        released = [row for row in list_released(pattern) if row["task"] != "backbone"]
        there = {row["architecture"] for row in released if row["num_classes"] == NUM_AUDIOSET_STRONG}
        composable = [row for row in list_composable(pattern) if row["name"] not in there]
        if not released and not composable:
            near = nearest_names(pattern.strip("*"), list_cards())
            raise ConfigError(f"no released or composable model matches {pattern!r}; {near}a pattern is 'fmn04*'")
        rows |= {row["name"]: row for row in [*released, *composable]}
    return sorted(rows.values(), key=lambda row: (row["macs"], row["name"]))
