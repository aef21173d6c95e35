"""Carries out a search: draws trials, runs them, tells the study how they ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from efficient_sed.errors import DataError
from efficient_sed.experiment.compose import compose_run
from efficient_sed.experiment.result_file import read_result
from efficient_sed.search.costs import Budget, CostCounter, preset_options, within_budget
from efficient_sed.search.draw import MAX_DRAWS, Candidate, Drawing, with_hash
from efficient_sed.search.front import validation_score
from efficient_sed.search.hopeless import Course, Watch
from efficient_sed.search.space import Space
from efficient_sed.search.study import COURSE, OVERRIDES, SharedStudy, open_study
from efficient_sed.sweep.grid import GridPoint
from efficient_sed.sweep.launch import RunStatus, State, run_grid
from efficient_sed.sweep.launcher import Launcher
from efficient_sed.sweep.preflight import check_points

SOME_AT_ONCE = 4
"""Trials of a batch where a launcher has no number of jobs."""


@dataclass(frozen=True)
class Search:
    """What is looked for."""

    space: Space
    budget: Budget
    trials: int
    """In all, those of other processes and earlier starts included."""

    def identity(self) -> dict[str, list[str]]:
        """What a study has to agree in to be gone on with."""
        common = [item for item in self.space.fixed if not item.startswith("output_dir=")]
        return {
            "space": [str(dimension) for dimension in self.space.dimensions],
            "data or training": common,
            "budget": [str(self.budget)],
        }


@dataclass(frozen=True)
class Report:
    """What is told while a search runs."""

    on_change: Callable[[Sequence[RunStatus]], None]
    """About twice a second, with the runs of the batch."""
    on_end: Callable[[str], None]
    """Once for each trial, with a line on it, and where there are fewer than asked for, with the reason."""


def run_search(search: Search, launcher: Launcher, report: Report) -> dict[Path, list[str]]:
    """Search until so many trials have ended.

    Returns:
        Overrides of the finished runs of the study, by their folder.

    Raises:
        ConfigError, DataError: If the space, the data or the study cannot be used, or all trials of a batch fail
            before one has succeeded.
    """
    first = search.space.overrides(_first_choices(search.space))
    config = compose_run(first)
    _check_choices(search.space)
    splits = config.data.load()
    counter = CostCounter(len(splits.classes), preset_options(config, first))
    space = within_budget(search.space, search.budget, counter)
    with open_study(Path(config.output_dir), search.identity(), config.seed) as shared:
        drawing = Drawing(space, search.budget, counter, splits.manifest_hash)
        is_checked = False
        while True:
            shared.retry_lost()
            number = min(getattr(launcher, "jobs", SOME_AT_ONCE), shared.num_open(search.trials))
            batch = drawing.draw(shared, number) if number > 0 else []
            if not batch:
                if number > 0:
                    report.on_end(_why_no_more(shared))
                break
            if not is_checked:
                check_points([candidate.point for candidate in batch])
                is_checked = True
            _run_batch(shared, batch, launcher, report)
        found = (trial.user_attrs[OVERRIDES] for trial in shared.finished())
        return {with_hash(overrides, splits.manifest_hash).folder: overrides for overrides in found}


def _first_choices(space: Space) -> dict[str, str]:
    return {dimension.key: dimension.choices[0] for dimension in space.dimensions if dimension.choices}


def _check_choices(space: Space) -> None:
    """Raise a ConfigError for a choice that no run could have, before anything is trained."""
    first = _first_choices(space)
    for dimension in space.dimensions:
        for choice in dimension.choices[1:]:
            compose_run(space.overrides(first | {dimension.key: choice}))


def _why_no_more(shared: SharedStudy) -> str:
    why = f"{MAX_DRAWS} draws in a row could not be trained, the last one: {shared.last_skip()}"
    return f"no more trials than {shared.num_ended()}: {why}; --space gives more choices"


def _run_batch(shared: SharedStudy, batch: Sequence[Candidate], launcher: Launcher, report: Report) -> None:
    others = [Course(int(trial.values[1]), trial.user_attrs.get(COURSE, {})) for trial in shared.finished()]
    watch = Watch({candidate.point.signature: candidate.cost.macs for candidate in batch}, others)

    def look(statuses: Sequence[RunStatus]) -> None:
        watch.look(statuses)
        report.on_change(statuses)

    ended = {status.point.signature: status for status in run_grid(_points(batch), launcher, look)}
    for candidate in batch:
        signature = candidate.point.signature
        candidate.trial.set_user_attr(COURSE, dict(watch.courses[signature].scores))
        words = _tell(shared, candidate, ended[signature], is_stopped=signature in watch.stopped)
        report.on_end(f"trial {shared.num_ended()}, {candidate.point.folder.name}: {words}")
    failed = [status for status in ended.values() if status.state is State.FAILED]
    if len(failed) == len(batch) and not watch.stopped and not shared.finished():
        raise DataError(f"{failed[0].point.folder} failed: {failed[0].message}; no trial has succeeded so far")


def _points(batch: Sequence[Candidate]) -> list[GridPoint]:
    return [candidate.point for candidate in batch]


def _tell(shared: SharedStudy, candidate: Candidate, status: RunStatus, *, is_stopped: bool) -> str:
    """Tell the study how a run ended, and say it in words."""
    result: Mapping[str, Any] | None = read_result(candidate.point.folder)
    score = None if result is None else validation_score(result)
    if status.state is State.FINISHED and score is not None:
        shared.finish(candidate.trial, score, candidate.cost.macs)
        return f"validation {score:.3f}, {candidate.cost}"
    message = status.message or "no validation score"
    shared.give_up(candidate.trial, message, is_hopeless=is_stopped)
    return "stopped early as hopeless" if is_stopped else f"failed: {message}"
