"""Runs the points of a grid, each in a process of its own, so that one that fails or is killed stops no other."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from efficient_sed.errors import LostProcessError
from efficient_sed.experiment.folders import unwritable
from efficient_sed.experiment.measure import needs_benchmark, needs_evaluation
from efficient_sed.experiment.result_file import main_score, read_result
from efficient_sed.sweep.grid import GridPoint
from efficient_sed.sweep.launcher import Launcher
from efficient_sed.sweep.run_process import LOG_FILE, START_MARK
from efficient_sed.training.run_files import PROGRESS_FILE


class State(StrEnum):
    """Where a run of a grid stands."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


@dataclass
class RunStatus:
    """Where one point of the grid stands."""

    point: GridPoint
    state: State = State.WAITING
    started_at: float = 0.0
    message: str = ""
    score: float | None = None
    """Score on the test part; None until finished."""
    was_there: bool = False
    """Finished before this sweep began."""
    needs_measuring: bool = False
    """Whether it is trained, and has to be evaluated or measured again."""
    log_size: int = 0
    """Bytes of the run's log before this sweep."""

    def progress(self) -> dict[str, float | None]:
        """What the run last wrote into its progress file; empty before training starts.

        Keys are step, steps, epoch, epochs, loss, score and eta_s.
        """
        try:
            values: dict[str, float | None] = json.loads(
                (self.point.folder / PROGRESS_FILE).read_text(encoding="utf-8")
            )
        except (OSError, ValueError):
            return {}
        return values


def run_grid(
    points: Sequence[GridPoint], launcher: Launcher, on_change: Callable[[Sequence[RunStatus]], None]
) -> list[RunStatus]:
    """Run what is not finished and return how each point ended.

    Args:
        points: The runs.
        launcher: What carries them out.
        on_change: Called about twice a second with all points, to draw them.

    Raises:
        DataError: If a run's folder cannot be written.
    """
    statuses = [RunStatus(point) for point in points]
    for status in statuses:
        _take_result(status)
        status.was_there = status.state is State.FINISHED
        if status.needs_measuring:  # which takes no training
            status.state, status.was_there = State.WAITING, False
    waiting = {status.point.signature: status for status in statuses if not status.was_there}
    for status in waiting.values():
        _make_ready(status)
    with contextlib.closing(launcher.run([status.point for status in waiting.values()])) as endings:
        for ended in endings:
            for status in waiting.values():
                _see_start(status)
            for point, how in ended:
                _end(waiting[point.signature], how)
            on_change(statuses)
    on_change(statuses)
    return statuses


def _make_ready(status: RunStatus) -> None:
    folder = status.point.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOG_FILE).open("a", encoding="utf-8") as log:
            status.log_size = log.tell()
        (folder / PROGRESS_FILE).unlink(missing_ok=True)  # of an earlier start
    except OSError as error:
        raise unwritable(status.point.config, error) from error


def _see_start(status: RunStatus) -> None:
    """A run has started once its log has grown, on whatever machine."""
    if status.state is State.WAITING and (status.point.folder / LOG_FILE).stat().st_size > status.log_size:
        status.state, status.started_at = State.RUNNING, time.monotonic()


def _end(status: RunStatus, how: str) -> None:
    _take_result(status)
    if status.state is not State.FINISHED:
        status.state, status.message = State.FAILED, f"{how}: {_last_line(status.point.folder / LOG_FILE)}"


def _take_result(status: RunStatus) -> None:
    result = read_result(status.point.folder)
    if result is not None:
        status.state, status.score = State.FINISHED, result["metrics"][main_score(result).key]
        config = status.point.config
        status.needs_measuring = needs_evaluation(result, config) or needs_benchmark(result, config)


def _last_line(path: Path) -> str:
    """The error that a run printed last, or else its last line; two sweeps of one grid write into the same file."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    start = max((index for index, line in enumerate(lines) if line.startswith(START_MARK)), default=0)
    errors = [line for line in lines[start:] if line.startswith("efficient-sed: ")]
    causes = [line for line in errors if LostProcessError.WORDS not in line]  # what the process that ended said itself
    return (causes or errors or lines or ["no output"])[-1]
