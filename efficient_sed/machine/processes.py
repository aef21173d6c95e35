"""Worker processes that end with their parent; else those of a killed parent would wait forever and hold its locks."""

from __future__ import annotations

import multiprocessing
import os
import threading
from multiprocessing.connection import wait


def end_with_parent() -> None:
    """End this worker when the process that started it ends."""
    if (parent := multiprocessing.parent_process()) is not None:
        threading.Thread(target=_watch, args=(parent.sentinel,), daemon=True).start()


def _watch(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
