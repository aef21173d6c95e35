"""Worker processes that outlive a killed parent by nothing: they would wait for work for ever, and hold its locks."""

from __future__ import annotations

import multiprocessing
import os
import threading
from multiprocessing.connection import wait


def end_with_parent() -> None:
    """From now on this worker ends when the process that started it does."""
    if (parent := multiprocessing.parent_process()) is not None:
        threading.Thread(target=_watch, args=(parent.sentinel,), daemon=True).start()


def _watch(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
