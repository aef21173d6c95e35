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
        from rich.progress import Progress

        with Progress(console=Console(stderr=True)) as bar:
            task = bar.add_task(unit, total=total, completed=done)
            yield lambda amount: bar.advance(task, amount)
        return
    count, logged_at = float(done), time.monotonic()

    def advance(amount: float) -> None:
        nonlocal count, logged_at
        count += amount
        if time.monotonic() - logged_at > _LOG_EVERY_S:
            logged_at = time.monotonic()
            logger.info("%.0f of %.0f %s", count, total, unit)

    yield advance
