"""Registries: names for interchangeable parts, such as backbones, sequence heads and data sets.

A registry watches one package. A new part is one file in that package, with a class under `@REGISTRY.register("name")`.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from efficient_sed.errors import ConfigError, nearest

T = TypeVar("T")
EntryT = TypeVar("EntryT", bound=type[Any])


class Registry(Generic[T]):
    """Classes by name, found in one package on first use.

    Args:
        kind: What an entry is called in error messages, such as "sequence head".
        package: The package whose public modules register entries when they are imported.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package
        self._entries: dict[str, type[T]] = {}
        self._is_discovered = False

    def register(self, name: str) -> Callable[[EntryT], EntryT]:
        """Class decorator that adds a class under `name`, which becomes its attribute `name`.

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

    def get(self, name: str) -> type[T]:
        """The class registered under a name. A module of that name is imported alone; else the whole package is.

        Raises:
            ConfigError: If nothing is registered under that name; the message gives the nearest one and the list.
        """
        if name not in self._entries and name.isidentifier() and not name.startswith("_"):
            self._import(name)
        if name not in self._entries:
            self._discover()
        if name not in self._entries:
            raise ConfigError(f"unknown {self.kind} {name!r}; {nearest(name, self._entries)}")
        return self._entries[name]

    def _import(self, module: str) -> None:
        path = f"{self.package}.{module}"
        if importlib.util.find_spec(path) is not None:
            importlib.import_module(path)

    def _discover(self) -> None:
        if self._is_discovered:
            return
        self._is_discovered = True
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__):
            if not module.name.startswith("_"):
                importlib.import_module(f"{self.package}.{module.name}")


def _registries() -> tuple[Registry[Any], ...]:
    return (
        Registry("backbone", "efficient_sed.models.backbones"),
        Registry("sequence head", "efficient_sed.models.sequence"),
        Registry("data set", "efficient_sed.data.sets"),
        Registry("teacher", "efficient_sed.teachers"),
        Registry("annotation format", "efficient_sed.data.annotations"),
    )


BACKBONES, SEQUENCE_HEADS, DATASETS, TEACHERS, ANNOTATION_FORMATS = _registries()
