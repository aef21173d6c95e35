"""Seconds, joules and the state of the machine while speed is measured."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from efficient_sed.environment import CPU_INFO

WARM_UP = 3  # passes before the first that counts
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
TASKS = Path("/proc/self/task")  # a folder for each thread of this process


def seconds_of(run: Callable[[], object], device: torch.device) -> float:
    """Of one pass: wall time on a CPU, time between two events on a GPU."""
    if device.type != "cuda":
        start = time.perf_counter()
        run()
        return time.perf_counter() - start
    start_event, end_event = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    start_event.record()
    run()
    end_event.record()
    end_event.synchronize()
    return float(start_event.elapsed_time(end_event)) / 1e3


@contextlib.contextmanager
def only_cores(threads: int | None) -> Iterator[None]:
    """Run with that many threads, on as many of the cores that this process may use; none: as it is."""
    if threads is None:
        yield
        return
    num_threads, cores = torch.get_num_threads(), _affinity()
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
    """Keep every thread of this process to these cores: the system's call takes one thread at a time, and workers that were started keep theirs."""
    for task in [int(folder.name) for folder in TASKS.iterdir()] if TASKS.is_dir() else [0]:
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            os.sched_setaffinity(task, cores)


def count_cores() -> int:
    """Cores that this process may use."""
    cores = _affinity()
    return (os.cpu_count() or 1) if cores is None else len(cores)


def conditions(device: torch.device) -> dict[str, Any]:
    """Clocks and what else a speed depends on; what the machine does not tell is none."""
    if device.type == "cuda":
        nvml, handle = _nvml(device)
        clocks = {} if nvml is None else {"sm_mhz": nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM), "memory_mhz": nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM)}
        return {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(), **clocks}  # type: ignore[no-untyped-call]
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.is_file() else []
    megahertz = [float(line.split(":")[1]) for line in lines if line.startswith("cpu MHz")]
    return {
        "threads": torch.get_num_threads(),
        "cores": _affinity(),
        "mhz": max(megahertz, default=None),
        "governor": GOVERNOR.read_text().strip() if GOVERNOR.is_file() else None,
        "load_1min": round(os.getloadavg()[0], 2),
    }


def joules(device: torch.device) -> float | None:
    """What a GPU has used since its driver was loaded; none on a CPU or without the package pynvml."""
    if device.type != "cuda":
        return None
    torch.cuda.synchronize(device)
    nvml, handle = _nvml(device)
    return None if nvml is None else float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3


def _nvml(device: torch.device) -> tuple[Any, Any]:
    if importlib.util.find_spec("pynvml") is None:
        return None, None
    import pynvml  # type: ignore[import-not-found, unused-ignore]

    pynvml.nvmlInit()
    return pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")


def _affinity() -> list[int] | None:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
