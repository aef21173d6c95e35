"""How far long work has come: a bar on a terminal, a line of the log once a minute elsewhere."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator

logger = logging.getLogger(__name__)
_LOG_EVERY_S = 60.0


@contextlib.contextmanager
def progress(unit: str, total: float, done: int = 0, *, is_drawn: bool) -> Iterator[Callable[[float], None]]:
    """A function to call with what was done since the last call.

    Args:
        unit: What is counted, in the plural.
        is_drawn: A bar on the standard error stream, instead of the log.
    """
    if is_drawn:
        from rich.console import Console
        from rich.progress import Progress, TextColumn, TimeRemainingColumn

        rate = TextColumn("{task.fields[rate]}")
        with Progress(
            *Progress.get_default_columns()[:-1], rate, TimeRemainingColumn(), console=Console(stderr=True)
        ) as bar:
            task, started, counted = bar.add_task(unit, total=total, completed=done, rate=""), time.monotonic(), 0.0

            def draw(amount: float) -> None:
                nonlocal counted
                counted += amount
                bar.update(task, advance=amount, rate=f"{counted / max(time.monotonic() - started, 1e-9):.3g} a second")

            yield draw
        return
    count, started, logged_at = float(done), time.monotonic(), time.monotonic()

    def advance(amount: float) -> None:
        nonlocal count, logged_at
        count += amount
        if time.monotonic() - logged_at > _LOG_EVERY_S:
            logged_at = time.monotonic()
            rate = (count - done) / (logged_at - started)
            logger.info(
                "%.0f of %.0f %s, %.3g a second, %.0f minutes to go",
                count,
                total,
                unit,
                rate,
                (total - count) / max(rate, 1e-9) / 60,
            )

    yield advance


def clock(seconds: float) -> str:
    """Minutes and seconds, as a clock shows them."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
