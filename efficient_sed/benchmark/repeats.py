"""Runs that differ in their seed or their fold alone, and what their scores are on average."""

from __future__ import annotations

import copy
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

NOT_COMPUTED = ("seed", "output_dir", "logger")
"""Keys of a run's configuration that a repetition may have otherwise; nor do these of "train" and "data" matter:"""
NOT_COMPUTED_IN = {"train": ("accelerator", "strategy", "devices"), "data": ("num_workers", "root", "fold")}  # the manifest hash says which data they were


def group_repeats(results: Iterable[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Results of one configuration with different seeds or folds together, in the order of their first; by seed and fold within.

    A group agrees in configuration, data, metric variant, parameters and MACs, and in what its speed was measured on. A run that is there twice is taken once.
    """
    groups: dict[str, dict[str, Mapping[str, Any]]] = {}
    for result in results:
        groups.setdefault(_configuration(result), {}).setdefault(str(result["signature"]), result)
    return [sorted(group.values(), key=lambda result: (result["seed"], fold_of(result) or 0)) for group in groups.values()]


def _configuration(result: Mapping[str, Any]) -> str:
    """What repetitions have in common, as text."""
    config = copy.deepcopy(dict(result["config"]))
    for key in NOT_COMPUTED:
        config.pop(key, None)
    for part, keys in NOT_COMPUTED_IN.items():
        for key in keys:
            config.get(part, {}).pop(key, None)
    speed = result["complexity"].get("throughput") or {}
    variant = {key: value for key, value in result["metrics"]["variant"].items() if key != "num_classes" or fold_of(result) is None}  # a small fold may lack a class
    measured_on = [speed.get(key) for key in ("device", "precision", "mode", "batch_size")]
    costs = [result["complexity"].get(key) for key in ("params", "macs", "seconds")]
    return json.dumps([result["model"], result["task"], config, result["data"]["manifest_hash"], variant, measured_on, costs], sort_keys=True)


def fold_of(result: Mapping[str, Any]) -> int | None:
    """The fold of its data that a run was tested on; none where there are no folds."""
    fold: int | None = result["config"].get("data", {}).get("fold")
    return fold


def mean_and_sd(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation; of one value none."""
    return (statistics.fmean(values), statistics.stdev(values)) if len(values) > 1 else (values[0], None)
