"""The table of a grid while it runs: redrawn in place on a terminal, one line per change elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from efficient_sed.machine.progress import clock
from efficient_sed.sweep.launch import RunStatus, State
from efficient_sed.training.run_files import LOG_EVERY_S, describe_progress

STYLES = {State.WAITING: "dim", State.RUNNING: "bold cyan", State.FINISHED: "green", State.FAILED: "bold red"}


class LiveGrid:
    """Context in which `show` may be called with the states of all runs.

    Args:
        console: Where they are drawn; default None, the standard error stream.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, markup=False, emoji=False)
        self._live = Live(console=self.console, auto_refresh=False) if self.console.is_terminal else None
        self._printed: dict[str, tuple[object, ...]] = {}
        self._printed_at: dict[str, float] = {}

    def __enter__(self) -> LiveGrid:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, statuses: Sequence[RunStatus]) -> None:
        """Draw the table, or where there is no terminal print changes of a state, and every ten seconds the step."""
        if self._live:
            self._live.update(grid_table(statuses), refresh=True)
            return
        for index, status in enumerate(statuses):
            progress = status.progress() if status.state is State.RUNNING else {}
            name, now, news = status.point.signature, time.monotonic(), (status.state, progress.get("step"))
            before = self._printed.get(name, (None,))
            is_due = before != news and now - self._printed_at.get(name, 0.0) >= LOG_EVERY_S
            if before[0] != news[0] or is_due:
                self._printed[name], self._printed_at[name] = news, now
                if status.state is not State.WAITING:
                    self.console.print(
                        f"[{index + 1}/{len(statuses)}] {status.point.folder.name}: {describe(status, progress)}",
                        markup=False,
                        highlight=False,
                        soft_wrap=True,
                    )


def describe(status: RunStatus, progress: dict[str, float | None]) -> str:
    """The state of a run in a few words.

    Args:
        status: The run.
        progress: What it last reported, such as its epoch; empty if nothing.
    """
    if status.state is State.FINISHED:
        return f"finished{' before' if status.was_there else ''}, score {status.score:.3f}"
    if status.state is State.FAILED:
        return f"failed: {status.message}"
    if status.state is State.RUNNING and progress:
        return describe_progress(progress)
    return "starting" if status.state is State.RUNNING else str(status.state)


def grid_table(statuses: Sequence[RunStatus]) -> Table:
    """One row per run."""
    done = sum(status.state in (State.FINISHED, State.FAILED) for status in statuses)
    table = Table(title=f"{done} of {len(statuses)} runs done", title_justify="left")
    for column in ("run", "state", "time"):
        table.add_column(column, overflow="fold")
    for status in statuses:
        progress = status.progress() if status.state is State.RUNNING else {}
        elapsed = clock(time.monotonic() - status.started_at) if status.state is State.RUNNING else ""
        table.add_row(status.point.folder.name, describe(status, progress), elapsed, style=STYLES[status.state])
    return table
