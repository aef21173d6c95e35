"""Runs the points of a grid, each in a process of its own: one that fails or is killed costs nobody else anything."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from efficient_sed.benchmark.result_file import main_score, read_result
from efficient_sed.errors import ConfigError, DataError, nearest
from efficient_sed.sweep.grid import GridPoint
from efficient_sed.training.callbacks import PROGRESS_FILE

LAUNCHERS = ("local",)
LOG_FILE = "run.log"
POLL_S = 0.5
START_MARK = "--- "


class State(StrEnum):
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
    """Score on the test part; none until finished."""
    was_there: bool = False
    """Finished before this sweep began."""

    def progress(self) -> dict[str, float | None]:
        """What the run last wrote of itself: step, steps, epoch, epochs, loss, score, eta_s; empty before training starts."""
        try:
            values: dict[str, float | None] = json.loads((self.point.folder / PROGRESS_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return values


def check_launcher(launcher: str) -> None:
    """Raise a ConfigError for a launcher that does not exist."""
    if launcher not in LAUNCHERS:
        raise ConfigError(f"unknown launcher {launcher!r}; {nearest(launcher, LAUNCHERS)}")


def run_grid(points: Sequence[GridPoint], on_change: Callable[[Sequence[RunStatus]], None]) -> list[RunStatus]:
    """Run what is not finished, one after the other, and return how each point ended.

    Args:
        on_change: Called about twice a second with all points, to draw them.
    """
    statuses = [RunStatus(point) for point in points]
    for status in statuses:
        _take_result(status)
        status.was_there = status.state is State.FINISHED
    for status in statuses:
        if status.state is State.FINISHED:
            continue
        _run_locally(status, lambda: on_change(statuses))
    on_change(statuses)
    return statuses


def _run_locally(status: RunStatus, on_change: Callable[[], None]) -> None:
    folder = status.point.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        log = (folder / LOG_FILE).open("a", encoding="utf-8")
    except OSError as error:
        raise DataError(f"output_dir={status.point.config.output_dir}: cannot be written ({error.strerror}); give a writable folder as output_dir=DIR") from error
    (folder / PROGRESS_FILE).unlink(missing_ok=True)  # of an earlier start
    log.write(f"{START_MARK}{datetime.now(UTC).isoformat(timespec='seconds')} start\n")
    log.flush()
    status.state, status.started_at = State.RUNNING, time.monotonic()
    on_change()
    command = [sys.executable, "-m", "efficient_sed.cli", "train", "--quiet", "--exit-with-parent", *status.point.overrides]
    with log, subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.PIPE) as process:
        try:
            while process.poll() is None:
                time.sleep(POLL_S)
                on_change()
        except BaseException:
            process.terminate()
            raise
    _take_result(status)
    if status.state is not State.FINISHED:
        status.state, status.message = State.FAILED, f"exit status {process.returncode}: {_last_line(folder / LOG_FILE)}"


def _take_result(status: RunStatus) -> None:
    result = read_result(status.point.folder)
    if result is not None:
        status.state, status.score = State.FINISHED, result["metrics"][main_score(result)[0]]


def _last_line(path: Path) -> str:
    """The error that a run printed last, or else its last line; two sweeps of one grid write into the same file."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    start = max((index for index, line in enumerate(lines) if line.startswith(START_MARK)), default=0)
    errors = [line for line in lines[start:] if line.startswith("efficient-sed: ")]
    return (errors or lines or ["no output"])[-1]
