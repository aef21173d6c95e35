"""Comma lists -> the runs of a grid, all of them valid before one starts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from efficient_sed.config.run import RunConfig
from efficient_sed.errors import ConfigError
from efficient_sed.experiment.compose import DEFAULTS, compose_run
from efficient_sed.experiment.expand import expand_models, expand_preset_grid, expand_sweep
from efficient_sed.experiment.folders import content_hash, deciding_values, run_folder, signature
from efficient_sed.experiment.keys import key_of
from efficient_sed.registry import DATASETS, SEQUENCE_HEADS

ALL_FOLDS = "data.fold=all"


@dataclass(frozen=True)
class GridPoint:
    """One run of a grid."""

    overrides: tuple[str, ...]
    config: RunConfig
    manifest_hash: str | None = None
    """Of its data; default None, read from the data when it is first needed."""

    @cached_property
    def signature(self) -> str:
        """What names the training; it is that of the run's folder."""
        return signature(self.config, self._hash)

    @cached_property
    def folder(self) -> Path:
        """Where the run is, or will be."""
        return run_folder(self.config, self._hash)

    @property
    def _hash(self) -> str:
        return content_hash(self.config.data) if self.manifest_hash is None else self.manifest_hash


def expand_grid(overrides: Sequence[str]) -> list[GridPoint]:
    """Every distinct run that the comma lists describe, in the order they are written.

    A key of the sequence head, such as `seq.hidden`, is left out at points whose head does not have it (seq=none has
    no size); points that then agree are one run. `sweep=NAME` is a grid of `configs/sweep`, `seq=all` is every head,
    `seeds=0,1,2` another word for `seed=0,1,2`, and `folds=1,2` for `data.fold=1,2`; `folds=all` is every fold of the
    data.

    Raises:
        ConfigError: If any point is invalid; the message names the point.
    """
    overrides = expand_preset_grid(overrides)
    keys = [key_of(override) for override in overrides]
    for short, key, example in (("seeds", "seed", "seeds=0,1,2"), ("folds", "data.fold", "folds=all")):
        if short in keys and key in keys:
            raise ConfigError(f"{key} and {short} mean the same in a grid; give one of them, such as {example}")
    points: dict[str, GridPoint] = {}
    for point in _each_fold(expand_sweep([_spell_out(override) for override in overrides])):
        kept = point
        try:
            expanded = expand_models(point)
            kept = [override for override in expanded if _applies(override, expanded)]
            config = compose_run(kept)
        except ConfigError as error:
            raise ConfigError(f"{error} (at the grid's point {' '.join(kept)})") from error
        first = points.setdefault(_same_training(config), GridPoint(tuple(kept), config))
        if (first.config.evaluation, first.config.benchmark) != (config.evaluation, config.benchmark):
            different = " ".join(override for override in kept if override not in first.overrides)
            command = "benchmark" if first.config.evaluation == config.evaluation else "evaluate"
            raise ConfigError(
                f"{different}: a run keeps one measurement, and another point of this grid is the same training with "
                "other values of evaluation.* or benchmark.*; give one value here, and look at others by: "
                f"efficient-sed {command} RUN/model.safetensors"
            )
    return list(points.values())


def _same_training(config: RunConfig) -> str:
    """Equal for points that are one run, wherever that is carried out."""
    return json.dumps([deciding_values(config, ""), config.data.identity()], sort_keys=True)


def _each_fold(points: Iterable[Sequence[str]]) -> Iterator[Sequence[str]]:
    """Every point once for each fold of its data where it has `data.fold=all`."""
    for point in points:
        others = [override for override in point if override != ALL_FOLDS]
        if len(others) == len(point):
            yield point
            continue
        data = compose_run([override for override in others if key_of(override) in ("experiment", "data")]).data
        num_folds = getattr(data, "num_folds", None)
        if num_folds is None:
            raise ConfigError(
                f"folds=all: data={data.name} has no folds; data sets that have: "
                f"{', '.join(name for name in DATASETS.names() if hasattr(DATASETS.get(name), 'num_folds'))}"
            )
        for fold in range(1, num_folds + 1):
            yield [*others, f"data.fold={fold}"]


def _spell_out(override: str) -> str:
    """`seq=all` stands for every registered head, `seeds` for `seed`, `folds` for `data.fold`."""
    for short, key in (("seeds=", "seed="), ("folds=", "data.fold=")):
        if override.startswith(short):
            return override.replace(short, key, 1)
    return f"seq={','.join(SEQUENCE_HEADS.names())}" if override == "seq=all" else override


def _applies(override: str, point: Sequence[str]) -> bool:
    key = key_of(override)
    if not key.startswith("seq."):
        return True
    head = next((item.split("=", 1)[1] for item in point if key_of(item) == "seq"), DEFAULTS["seq"])
    if head not in SEQUENCE_HEADS.names():
        return True
    own = {field.name for field in dataclasses.fields(SEQUENCE_HEADS.get(head))}
    known = {field.name for name in SEQUENCE_HEADS.names() for field in dataclasses.fields(SEQUENCE_HEADS.get(name))}
    return key.removeprefix("seq.") in own or key.removeprefix("seq.") not in known
