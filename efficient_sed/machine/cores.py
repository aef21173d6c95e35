"""The CPU cores that this process may use, and which of them it does."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

TASKS = Path("/proc/self/task")  # a folder for each thread of this process


@contextlib.contextmanager
def only_cores(threads: int | None) -> Iterator[None]:
    """Run PyTorch with so many threads, on as many cores.

    Args:
        threads: How many; default None, as the process is.
    """
    if threads is None:
        yield
        return
    import torch

    num_threads, cores = torch.get_num_threads(), available_cores()
    try:
        torch.set_num_threads(threads)
        if cores is not None:
            pin_threads(cores[:threads])
        yield
    finally:
        torch.set_num_threads(num_threads)
        if cores is not None:
            pin_threads(cores)


def pin_threads(cores: Iterable[int]) -> None:
    """Keep every thread of this process to these cores; the system's call takes one thread at a time."""
    for task in [int(folder.name) for folder in TASKS.iterdir()] if TASKS.is_dir() else [0]:
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            os.sched_setaffinity(task, cores)


def count_cores() -> int:
    """How many cores this process may use."""
    cores = available_cores()
    return (os.cpu_count() or 1) if cores is None else len(cores)


def available_cores() -> list[int] | None:
    """Numbers of the cores that this process may use; None where the system does not report it."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
