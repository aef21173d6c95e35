"""The keys of a run, and which of them take text as it is typed."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any

from efficient_sed.config.augmentation import AugmentConfig
from efficient_sed.config.parse import GROUPS
from efficient_sed.config.run import RunConfig
from efficient_sed.experiment.text_values import Text, text_fields

MODEL_KEY, SWEEP_KEY = "model", "sweep"
"""`model=NAME` stands for a backbone and a head, `sweep=NAME` for the grid of a preset."""


def key_of(override: str) -> str:
    """The key of `key=value`, without Hydra's leading + or ~."""
    return override.split("=", 1)[0].lstrip("+~")


def option_groups() -> dict[str, type[Any]]:
    """Groups of options that every run has, such as "train", and their config classes."""
    groups: dict[str, type[Any]] = {}
    for item in dataclasses.fields(RunConfig):
        factory: Any = item.default_factory
        if isinstance(factory, type):  # else there is none: MISSING
            groups[item.name] = factory
    return groups


@cache
def all_keys() -> dict[str, Text | None]:
    """Every key that a run may have, and which text it takes; none where it takes something else."""
    owners: dict[str, list[type[Any]]] = {"": [RunConfig]}
    owners |= {f"{name}.": [cls] for name, cls in option_groups().items()}
    owners |= {"train.augment.": [AugmentConfig]} | {
        f"{group}.": [registry.get(name) for name in registry.names()] for group, registry in GROUPS.items()
    }
    found: dict[str, Text | None] = {}
    for prefix, classes in owners.items():
        for cls in classes:
            texts = text_fields(cls)
            for item in dataclasses.fields(cls):
                key, kind = f"{prefix}{item.name}", texts.get(item.name)
                found[key] = kind if found.get(key, kind) == kind else None
    return found


@cache
def table_keys() -> frozenset[str]:
    """Keys of a run whose values are tables, such as `{a: 1, b: 2}`."""
    return frozenset(
        f"{group}.{name}"
        for group, cls in option_groups().items()
        for name, hint in typing.get_type_hints(cls).items()
        if any(typing.get_origin(option) is Mapping for option in (hint, *typing.get_args(hint)))
    )


def text_keys() -> dict[str, Text]:
    """Keys of a run whose values are taken as typed."""
    return {key: kind for key, kind in all_keys().items() if kind is not None}
