"""Adds a module to a package of the program for one test, as a user adds a file to its folder."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from efficient_sed.experiment.keys import all_keys
from efficient_sed.registry import Registry


@contextmanager
def added(registry: Registry[Any], folder: Path, module: str, source: str) -> Iterator[None]:
    """Write a module into a temporary folder and let the registry find it as if it lay in the registry's package."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{module}.py").write_text(source, encoding="utf-8")
    package = importlib.import_module(registry.package)
    registry.names()
    entries = dict(registry._entries)
    package.__path__.append(str(folder))
    importlib.invalidate_caches()
    all_keys.cache_clear()
    try:
        yield
    finally:
        package.__path__.remove(str(folder))
        registry._entries = entries
        all_keys.cache_clear()
        sys.modules.pop(f"{registry.package}.{module}", None)
