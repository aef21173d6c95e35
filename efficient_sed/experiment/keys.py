"""The keys of a run, and which of them take text as it is typed."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any

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
    factories: dict[str, Any] = {item.name: item.default_factory for item in dataclasses.fields(RunConfig)}
    return {
        name: factory
        for name, factory in factories.items()
        if isinstance(factory, type) and dataclasses.is_dataclass(factory)
    }


@cache
def all_keys() -> dict[str, Text | None]:
    """Every key that a run may have, and which text it takes; none where it takes something else."""
    found: dict[str, Text | None] = {}

    def add(cls: type[Any], prefix: str) -> None:
        texts = text_fields(cls)
        for item in dataclasses.fields(cls):
            key, kind = f"{prefix}{item.name}", texts.get(item.name)
            found[key] = kind if found.get(key, kind) == kind else None
            if dataclasses.is_dataclass(item.default_factory):
                add(item.default_factory, f"{key}.")

    add(RunConfig, "")
    for group, registry in GROUPS.items():
        for name in registry.names():
            add(registry.get(name), f"{group}.")
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
