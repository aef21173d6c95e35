"""Names for interchangeable parts: backbones, sequence heads, data sets, teachers.

An entry is a frozen config dataclass that builds its part. A new part is one file in the folder that its registry watches.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable
from importlib.abc import InspectLoader
from typing import Any, Generic, TypeVar

from efficient_sed.errors import ConfigError, nearest

ConfigT = TypeVar("ConfigT")
EntryT = TypeVar("EntryT", bound=type[Any])
MARK = "registry"  # in the source of every module that adds an entry, however it imports this one


class Registry(Generic[ConfigT]):
    """Config classes by name, discovered on first use.

    Args:
        kind: What an entry is, in the words of an error message: "sequence head".
        package: The package whose modules register entries when imported.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self._package = package
        self._entries: dict[str, type[ConfigT]] = {}
        self._is_discovered = False

    def register(self, name: str) -> Callable[[EntryT], EntryT]:
        """Class decorator that files a config class under `name`.

        Raises:
            ValueError: If the name is taken.
        """

        def add(entry: EntryT) -> EntryT:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice: {self._entries[name]} and {entry}")
            self._entries[name] = entry
            entry.name = name
            return entry

        return add

    def names(self) -> list[str]:
        """All registered names, sorted."""
        self._discover()
        return sorted(self._entries)

    def get(self, name: str) -> type[ConfigT]:
        """The config class of `name`.

        Raises:
            ConfigError: If nothing is registered under that name; the message gives the nearest one and the list.
        """
        self._discover()
        if name not in self._entries:
            raise ConfigError(f"unknown {self.kind} {name!r}; {nearest(name, self._entries)}")
        return self._entries[name]

    def _discover(self) -> None:
        if self._is_discovered:
            return
        self._is_discovered = True
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            name = f"{self._package}.{module.name}"
            spec = importlib.util.find_spec(name)
            source = spec.loader.get_source(name) if spec and isinstance(spec.loader, InspectLoader) else None
            if not module.name.startswith("_") and (
                source is None or MARK in source
            ):  # others may import what takes seconds
                importlib.import_module(name)


def _registries() -> tuple[Registry[Any], Registry[Any], Registry[Any], Registry[Any]]:
    return (
        Registry("backbone", "efficient_sed.models.backbones"),
        Registry("sequence head", "efficient_sed.models.sequence"),
        Registry("data set", "efficient_sed.data.sets"),
        Registry("teacher", "efficient_sed.teachers"),
    )


BACKBONES, SEQUENCE_HEADS, DATASETS, TEACHERS = _registries()
