"""What the groups of options share: conversion to plain containers, and the limits that several of them use."""

from __future__ import annotations

import dataclasses
from typing import Any

MAX_CLIP_SECONDS = 3600  # one window goes through a model at once
WHOLE = 1e-3  # how near to a whole number a value counts as one: shares are typed with six digits
ONE_OR_LIST = "one_or_list"
"""Key in the metadata of a field of several names that takes a single name as well."""


def to_dict(config: Any) -> dict[str, Any]:
    """Plain nested dictionary of a config; components carry their registered `name`, tuples become lists."""
    values: dict[str, Any] = {"name": config.name} if hasattr(config, "name") else {}
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            values[item.name] = to_dict(value)
        else:
            values[item.name] = list(value) if isinstance(value, tuple) else value
    return values
