"""Progress of long work: a bar on a terminal, a line in the log from time to time elsewhere."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator

logger = logging.getLogger(__name__)
LOG_EVERY_S = 30.0


@contextlib.contextmanager
def progress(unit: str, total: float, done: int = 0, *, is_drawn: bool = False) -> Iterator[Callable[[float], None]]:
    """Report the progress of the block, which calls the yielded function with the amount done since the last call.

    Args:
        unit: What is counted, in the plural.
        total: How much there is to do.
        done: How much was done before, by an earlier process.
        is_drawn: Draw a bar on the standard error stream instead of writing to the log.
    """
    if is_drawn:
        with _drawn(unit, total, done) as advance:
            yield advance
        return
    num_new, started = 0.0, time.monotonic()
    logged_at = started

    def advance_log(amount: float) -> None:
        nonlocal num_new, logged_at
        num_new += amount
        if (now := time.monotonic()) - logged_at > LOG_EVERY_S:
            logged_at = now
            rate = num_new / (now - started)
            minutes = (total - done - num_new) / max(rate, 1e-9) / 60
            line = "%s of %s %s, %.3g a second, %.0f minutes to go"
            logger.info(line, f"{done + num_new:,.0f}", f"{total:,.0f}", unit, rate, minutes)

    yield advance_log


@contextlib.contextmanager
def _drawn(unit: str, total: float, done: int) -> Iterator[Callable[[float], None]]:
    """The bar."""
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeRemainingColumn

    columns = (*Progress.get_default_columns()[:-1], TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task, started, num_new = bar.add_task(unit, total=total, completed=done, rate=""), time.monotonic(), 0.0

        def advance(amount: float) -> None:
            nonlocal num_new
            num_new += amount
            bar.update(task, advance=amount, rate=f"{num_new / max(time.monotonic() - started, 1e-9):.3g} a second")

        yield advance


def clock(seconds: float) -> str:
    """Minutes and seconds, as a clock shows them: "2:05"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
