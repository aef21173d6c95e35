"""Which formats, precisions and engines are compared, settled before the long work."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from efficient_sed.errors import CheckpointError, ConfigError, MissingDependencyError, nearest
from efficient_sed.export.contract import ExportTarget
from efficient_sed.export.write import create_target
from efficient_sed.inference.engines.contract import engines_for
from efficient_sed.models.sed import SedModel
from efficient_sed.registry import ENGINES, EXPORT_TARGETS

ALL = "all"
"""Stands for every format, precision or engine."""


class Plan(NamedTuple):
    """What is made and run of one format."""

    target: ExportTarget
    paths: dict[str, Path]
    """Of the files, by precision."""
    engines: list[str]


class Attempts:
    """Raises what fails or, where all that can be had is asked for, notes it.

    Args:
        is_noted: Whether failures are noted.
    """

    def __init__(self, *, is_noted: bool) -> None:
        self._is_noted = is_noted
        self.notes: list[str] = []
        """What failed and why."""

    @contextlib.contextmanager
    def of(self, what: str) -> Iterator[None]:
        """Attempt a block."""
        try:
            yield
        except (CheckpointError, ConfigError, MissingDependencyError) as error:
            if not self._is_noted:
                raise
            self.notes.append(f"{what}: {error}")


def make_plans(
    model: SedModel,
    output: Path,
    targets: Sequence[str],
    precisions: Sequence[str],
    engines: Sequence[str],
    attempts: Attempts,
    *,
    overwrite: bool,
) -> list[Plan]:
    """A plan for each format; arguments and errors as for `export_precisions`."""
    plans = []
    for name in _scored_targets() if ALL in targets else dict.fromkeys(targets):
        target = create_target(name)
        with attempts.of(name):
            target.check_packages()
            chosen = _precisions(model, target, precisions, attempts)
            plans.append((target, chosen, _engines(target, engines, attempts)))
    is_single = len(plans) == 1 and len(plans[0][1]) == 1
    named = [
        Plan(target, {name: output if is_single else _named(output, name, target) for name in chosen}, runners)
        for target, chosen, runners in plans
    ]
    for plan in named:
        for path in plan.paths.values():
            plan.target.check_output(path, overwrite=overwrite)
    return named


def _scored_targets() -> list[str]:
    """Formats of one file that an engine runs."""
    return [name for name in EXPORT_TARGETS.names() if engines_for(EXPORT_TARGETS.get(name).suffix)]


def _precisions(model: SedModel, target: ExportTarget, asked: Sequence[str], attempts: Attempts) -> list[str]:
    chosen = []
    for precision in target.precisions if ALL in asked else dict.fromkeys(asked):
        with attempts.of(f"{target.name} {precision}"):
            target.check_precision(model, precision)
            chosen.append(precision)
    return chosen


def _engines(target: ExportTarget, asked: Sequence[str], attempts: Attempts) -> list[str]:
    """Engines of a format, checked for those that cannot run here."""
    for engine in asked:
        if engine != ALL and ENGINES.get(engine).suffix != target.suffix:
            raise ConfigError(
                f"--engine {engine} does not run {target.name} files; {nearest(engine, [*target.engines(), ALL])}"
            )
    if ALL not in asked:
        return list(dict.fromkeys(asked)) or target.engines()[:1]
    chosen = []
    for engine in target.engines():
        with attempts.of(f"engine {engine}"):
            if ENGINES.get(engine).is_emulated():
                raise ConfigError("this machine has no instructions for its precision")
            chosen.append(engine)
    return chosen


def _named(output: Path, precision: str, target: ExportTarget) -> Path:
    return output.with_name(f"{output.stem}.{precision}{target.suffix}")
