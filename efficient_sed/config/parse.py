"""Plain dictionaries to config dataclasses, strictly: an unknown key or a wrong type is an error with its full path."""

from __future__ import annotations

import dataclasses
import functools
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from efficient_sed.config.data import DataConfig
from efficient_sed.config.model import BackboneConfig, SequenceHeadConfig
from efficient_sed.config.values import ONE_OR_LIST
from efficient_sed.errors import ConfigError, nearest
from efficient_sed.registry import BACKBONES, DATASETS, SEQUENCE_HEADS, Registry

T = TypeVar("T")
GROUPS = {"backbone": BACKBONES, "seq": SEQUENCE_HEADS, "data": DATASETS}
"""Groups of keys that belong to components, by the key that names one."""
COMPONENTS: dict[type, Registry[Any]] = {
    BackboneConfig: BACKBONES,
    SequenceHeadConfig: SEQUENCE_HEADS,
    DataConfig: DATASETS,
}


def from_dict(cls: type[T], values: Mapping[str, Any], path: str = "") -> T:
    """An instance of a config dataclass, such as RunConfig, from plain containers.

    Args:
        cls: The dataclass.
        values: By field name; `name` names the component where there are several.
        path: The key that holds it, for messages.

    Raises:
        ConfigError: For an unknown key, a missing one, a wrong type or a value out of range.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(
            f"{path}={values!r} must be a group of keys: {', '.join(f.name for f in dataclasses.fields(cls))}"
        )
    values = dict(values)
    if hasattr(cls, "name"):
        values.pop("name", None)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            raise ConfigError(f"unknown key {_join(path, key)}={values[key]!r}; {nearest(key, fields)}")
    hints = _type_hints(cls)  # type: ignore[arg-type]
    arguments = {}
    for key, item in fields.items():
        if key in values:
            value = [values[key]] if ONE_OR_LIST in item.metadata and isinstance(values[key], str) else values[key]
            arguments[key] = _convert(hints[key], value, _join(path, key))
        elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{_join(path, key)} is missing: give {_join(path, key)}=VALUE")
    return cls(**arguments)


_type_hints = functools.cache(typing.get_type_hints)  # they take a millisecond a class, and reports read many runs


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _convert(hint: Any, value: Any, path: str) -> Any:
    origin = get_origin(hint)
    if hint in COMPONENTS:
        if not isinstance(value, Mapping) or "name" not in value:
            raise ConfigError(
                f"{path}={value!r} must name a {COMPONENTS[hint].kind}; {nearest(str(value), COMPONENTS[hint].names())}"
            )
        return from_dict(COMPONENTS[hint].get(str(value["name"])), value, path)
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast(type, hint), value, path)
    if origin is Literal:
        if value in get_args(hint):
            return value
        raise ConfigError(f"{path}={value!r} is not allowed; {nearest(str(value), map(str, get_args(hint)))}")
    if origin in (Union, types.UnionType):
        options = get_args(hint)
        if value is None and type(None) in options:
            return None
        (inner,) = [option for option in options if option is not type(None)]
        return _convert(inner, value, path)
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{path}={value!r} must be a table of keys and values")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{path}={value!r} must be a list, such as [a,b]")
        return tuple(_convert(get_args(hint)[0], item, f"{path}[{i}]") for i, item in enumerate(value))
    return _convert_scalar(hint, value, path)


def _convert_scalar(hint: Any, value: Any, path: str) -> Any:
    words = {bool: "true or false", int: "a whole number", float: "a finite number", str: "text"}
    if (
        hint is float
        and isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) <= sys.float_info.max
    ):
        return float(value)
    if hint is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if hint is not float and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise ConfigError(f"{path}={value!r} must be {words[hint]}")
