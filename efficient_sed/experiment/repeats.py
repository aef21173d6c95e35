"""Runs that differ in their seed or their fold alone, and what their scores are on average."""

from __future__ import annotations

import contextlib
import json
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from efficient_sed.config.parse import from_dict
from efficient_sed.config.run import RunConfig
from efficient_sed.config.values import to_dict
from efficient_sed.errors import ConfigError

HOW_TO_TRAIN = ("accelerator", "strategy", "devices")
"""Keys of `train` that change the machines that work, and not the result."""
NOT_COMPUTED = ("seed", "output_dir", "logger")
"""Keys of a run's configuration that a repetition may have otherwise; nor do these of "train" and "data" matter:"""
NOT_COMPUTED_IN = {
    "train": HOW_TO_TRAIN,
    "benchmark": ("device",),
    "data": ("num_workers", "root", "fold"),
}  # the manifest hash says which data they were


def group_repeats(results: Iterable[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Results grouped by configuration, in the order of each group's first; sorted by seed and fold within a group.

    A group agrees in configuration, data, metric variant, parameters and MACs, and in what its speed was measured on. A
    run that is there twice is taken once. One without a speed joins the first that agrees with it in all else.
    """
    groups: dict[str, dict[str, Mapping[str, Any]]] = {}
    ordered = [(result, _configuration(result)) for result in results]
    first: dict[str, str] = {}  # what speed was measured on, of the first run of a configuration that has one
    for result, configuration in ordered:
        if measured_on := _measured_on(result):
            first.setdefault(configuration, measured_on)
    for result, configuration in ordered:
        group = configuration + (_measured_on(result) or first.get(configuration, ""))
        groups.setdefault(group, {}).setdefault(str(result["signature"]), result)
    return [
        sorted(group.values(), key=lambda result: (result["seed"], fold_of(result) or 0)) for group in groups.values()
    ]


def _configuration(result: Mapping[str, Any]) -> str:
    """What repetitions have in common, as text."""
    config = {key: value for key, value in computed_options(result["config"]).items() if value is not None}
    variant = {
        key: value
        for key, value in result["metrics"]["variant"].items()
        if key != "num_classes" or fold_of(result) is None
    }  # a small fold may lack a class
    costs = [result["complexity"].get(key) for key in ("params", "macs", "seconds")]
    return json.dumps(
        [result["model"], result["task"], config, result["data"]["manifest_hash"], variant, costs], sort_keys=True
    )


def computed_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a run by their dotted keys, but those that a repetition may have otherwise.

    Those that are newer than the run have their default. A run with options that no longer exist has its own alone.
    """
    ignored = {*NOT_COMPUTED, *(f"{group}.{key}" for group, keys in NOT_COMPUTED_IN.items() for key in keys)}
    with contextlib.suppress(ConfigError):
        config = to_dict(from_dict(RunConfig, config))
    return {key: value for key, value in flat_options(config).items() if key not in ignored}


def flat_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Options by their dotted keys; a number that is whole is so in every type."""
    return dict(_flat(config))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _whole(value)


def _whole(value: Any) -> Any:
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _measured_on(result: Mapping[str, Any]) -> str:
    """Empty for a run without a speed."""
    speed = result["complexity"].get("throughput")
    return json.dumps([speed.get(key) for key in ("device", "precision", "mode", "batch_size")]) if speed else ""


def fold_of(result: Mapping[str, Any]) -> int | None:
    """The fold of its data that a run was tested on; None where there are no folds."""
    fold: int | None = result["config"].get("data", {}).get("fold")
    return fold


def mean_and_sd(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation; of a single value None."""
    return (statistics.fmean(values), statistics.stdev(values)) if len(values) > 1 else (values[0], None)
