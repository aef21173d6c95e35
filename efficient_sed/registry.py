"""Registries: names for interchangeable parts, such as backbones, sequence heads and data sets.

A registry watches one package. A new part is one file in that package, with a class under `@REGISTRY.register("name")`.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, cast

from efficient_sed.errors import ConfigError, EfficientSedError, nearest

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

    def modules(self) -> list[str]:
        """Names of the package's public modules, none of which is imported."""
        package = importlib.import_module(self.package)
        found = (module.name for module in pkgutil.iter_modules(package.__path__))
        return sorted(name for name in found if not name.startswith("_"))

    def register_family(self, members: Mapping[str, Mapping[str, Any]]) -> Callable[[EntryT], EntryT]:
        """Class decorator that adds a subclass for each name, with class attributes of its own.

        Args:
            members: Class attributes by name, such as `{"small": {"width": 0.4}, "large": {"width": 1.0}}`.

        Raises:
            ValueError: If a name is taken.
        """

        def add(base: EntryT) -> EntryT:
            module, metaclass = sys.modules[base.__module__], cast(Any, type(base))
            for name, attributes in members.items():
                class_name = f"{base.__name__}_{name}"
                own = {"__module__": base.__module__, "__doc__": base.__doc__, **attributes}
                entry = metaclass(class_name, (base,), own)
                setattr(module, class_name, entry)  # where pickle looks for it
                self.register(name)(entry)
            return base

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
        module, is_public = f"{self.package}.{name}", name.isidentifier() and not name.startswith("_")
        if name not in self._entries and is_public and importlib.util.find_spec(module) is not None:
            _import(module)
        if name not in self._entries:
            self._discover()
        if name not in self._entries:
            raise ConfigError(f"unknown {self.kind} {name!r}; {nearest(name, self._entries)}")
        return self._entries[name]

    def _discover(self) -> None:
        for module in self.modules():
            _import(f"{self.package}.{module}")


def _import(module: str) -> None:
    """Import a module of a registry; a mistake in it is a user's as soon as users add files."""
    try:
        importlib.import_module(module)
    except (EfficientSedError, ModuleNotFoundError):
        raise
    except Exception as error:
        spec = importlib.util.find_spec(module)
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"{spec.origin if spec else module}: cannot be imported ({reason})") from error


BACKBONES: Registry[Any] = Registry("backbone", "efficient_sed.models.backbones")
SEQUENCE_HEADS: Registry[Any] = Registry("sequence head", "efficient_sed.models.sequence")
DATASETS: Registry[Any] = Registry("data set", "efficient_sed.data.sets")
POSTPROCESSING: Registry[Any] = Registry("post-processing method", "efficient_sed.postprocessing")
TEACHERS: Registry[Any] = Registry("teacher", "efficient_sed.teachers")
ANNOTATION_FORMATS: Registry[Any] = Registry("annotation format", "efficient_sed.data.annotations")
ENGINES: Registry[Any] = Registry("engine", "efficient_sed.inference.engines")
EXPORT_TARGETS: Registry[Any] = Registry("export format", "efficient_sed.export.targets")
LAUNCHERS: Registry[Any] = Registry("launcher", "efficient_sed.sweep.launchers")
METERS: Registry[Any] = Registry("meter of energy", "efficient_sed.benchmark.energy")
