"""Seconds of passes, and the cores and number formats that they are measured with."""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

WARM_UP = 3  # passes before the first that counts
TASKS = Path("/proc/self/task")  # a folder for each thread of this process


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def seconds_of(run: Callable[[], object], device: torch.device, passes: int = 1) -> float:
    """Wall seconds of a pass; of several, which a GPU is given one after the other and waited for once, the mean."""
    synchronize(device)
    start = time.perf_counter()
    for _ in range(passes):
        run()
    synchronize(device)
    return (time.perf_counter() - start) / passes


@contextlib.contextmanager
def exact_float32() -> Iterator[None]:
    """Compute float32 as such where PyTorch may round it to TF32 or bfloat16; its switches are set back afterwards."""
    backends = torch.backends
    names = [
        (backends.cudnn, "conv"),
        (backends.cudnn, "rnn"),
        *((backends.mkldnn, part) for part in ("matmul", "conv", "rnn")),
    ]
    parts = [
        backends.cuda.matmul,
        *(getattr(library, part, None) for library, part in names),
    ]  # the names since torch 2.9
    old, new = (backends.cudnn, "allow_tf32"), [(part, "fp32_precision") for part in parts]
    before: list[tuple[Any, str, Any]] = []
    precision = None
    with contextlib.suppress(RuntimeError):  # an old name cannot be read where the new one was used
        precision = torch.get_float32_matmul_precision()
    for switch, name in [old, *new]:
        with contextlib.suppress(AttributeError, RuntimeError):
            before.append((switch, name, getattr(switch, name)))
    exact = [(*old, False), *((switch, name, "ieee") for switch, name, _ in before if (switch, name) != old)]
    try:
        _set("highest", exact)  # the old names alone leave a global "tf32" in force
        yield
    finally:
        _set(precision, before)


def _set(precision: str | None, switches: Sequence[tuple[Any, str, Any]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of old names, the only ones that every version of PyTorch has
        if precision is not None:
            torch.set_float32_matmul_precision(precision)
        for switch, name, value in switches:
            setattr(switch, name, value)


@contextlib.contextmanager
def only_cores(threads: int | None) -> Iterator[None]:
    """Run with that many threads, on as many of the cores that this process may use; none: as it is."""
    if threads is None:
        yield
        return
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
    """Keep every thread of this process to these cores.

    The system's call takes one thread at a time, and workers that were started keep theirs.
    """
    for task in [int(folder.name) for folder in TASKS.iterdir()] if TASKS.is_dir() else [0]:
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            os.sched_setaffinity(task, cores)


def count_cores() -> int:
    """Cores that this process may use."""
    cores = available_cores()
    return (os.cpu_count() or 1) if cores is None else len(cores)


def available_cores() -> list[int] | None:
    """Numbers of those cores; none where the system does not tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
