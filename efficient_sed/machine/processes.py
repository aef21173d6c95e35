"""Processes: how many there is room for, and that they end with their parent, whose locks they would hold forever."""

from __future__ import annotations

import multiprocessing
import os
import threading
from multiprocessing.connection import wait


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def end_with_parent() -> None:
    """End this worker when the process that started it ends."""
    if (parent := multiprocessing.parent_process()) is not None:
        threading.Thread(target=_watch, args=(parent.sentinel,), daemon=True).start()


def _watch(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
