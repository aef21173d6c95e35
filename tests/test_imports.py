"""The rooms of the package import one another in one direction only, and keep their private modules to themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import efficient_sed

PACKAGE = Path(efficient_sed.__file__).parent
ROOMS = (
    "errors", "registry", "files", "machine", "audio", "config", "data", "models", "teachers", "postprocessing",
    "metrics", "tuning", "inference", "benchmark", "export", "training", "experiment", "frontier", "sweep", "cli",
)  # fmt: skip
"""Each may import those before it."""


class Import(NamedTuple):
    """One imported module, and where it is imported."""

    importer: str
    imported: str
    names: tuple[str, ...]
    place: str
    """File and line."""
    is_for_types: bool


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    return {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def imports() -> list[Import]:
    return [item for name, path in modules().items() for item in read_imports(name, path)]


def read_imports(importer: str, path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    for_types = {id(node) for block in blocks for node in ast.walk(block)}
    for node in ast.walk(tree):
        place = f"{path.relative_to(PACKAGE.parent)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{place}: relative import"
            if (node.module or "").split(".")[0] == "efficient_sed":
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    is_module = whole in modules()
                    names = () if is_module else (alias.name,)
                    yield Import(
                        importer, whole if is_module else str(node.module), names, place, id(node) in for_types
                    )
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "efficient_sed":
                    yield Import(importer, alias.name, (), place, id(node) in for_types)


def room(module: str) -> str:
    return [*module.split("."), ""][1]


def test_every_room_has_its_place() -> None:
    found = {room(name) for name in modules()} - {"", "__main__"}
    assert found == set(ROOMS)
    assert len(imports()) > 500  # so that the tests below cannot pass on nothing


def test_no_import_upwards() -> None:
    upwards = [
        f"{item.place} imports {item.imported}"
        for item in imports()
        if room(item.importer) in ROOMS
        and room(item.imported) in ROOMS
        and ROOMS.index(room(item.imported)) > ROOMS.index(room(item.importer))
        and not item.is_for_types
    ]
    assert not upwards, "\n".join(upwards)


def test_only_its_version_is_taken_from_the_package() -> None:
    allowed = ({("__version__",)}, {"efficient_sed.__main__"})
    taken = [
        f"{item.place} imports {', '.join(item.names)} from efficient_sed"
        for item in imports()
        if item.imported == "efficient_sed" and item.names not in allowed[0]
    ]
    assert not taken, "\n".join(taken)


def test_no_circles() -> None:
    """Of files, imports for type checkers and inside functions included."""
    graph: dict[str, set[str]] = {name: set() for name in modules()}
    for item in imports():
        if item.imported not in ("efficient_sed", item.importer) and item.importer != "efficient_sed":
            graph[item.importer].add(item.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_private_modules_and_names_stay_in_their_folder() -> None:
    """An underscore means: not imported outside its folder."""
    outside = []
    for item in imports():
        parts = item.imported.split(".")
        private = [place for place, part in enumerate(parts) if part.startswith("_")]
        if private and not f"{item.importer}.".startswith(".".join(parts[: private[0]]) + "."):
            outside.append(f"{item.place} imports {item.imported}")
        own_folder = ".".join(parts[:-1])
        for name in item.names:
            is_private = name.startswith("_") and not name.startswith("__")
            if is_private and not f"{item.importer}.".startswith(f"{own_folder}."):
                outside.append(f"{item.place} imports {item.imported}.{name}")
    assert not outside, "\n".join(outside)


def test_only_training_imports_lightning() -> None:
    """It takes seconds; a sweep, a detection or an evaluation does without."""
    modules = (
        "cli.live_grid", "cli.plot", "data.check", "experiment.score", "experiment.tune", "inference.detect",
        "sweep.grid", "sweep.launch", "sweep.preflight",
    )  # fmt: skip
    imported = "\n".join(f"import efficient_sed.{name}" for name in modules)
    code = f"import sys\n{imported}\nassert 'pytorch_lightning' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
