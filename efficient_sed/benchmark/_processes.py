"""Several processes at once, each with one thread on a core of its own: how a CPU serves."""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import torch

from efficient_sed.benchmark.clock import WARM_UP, seconds_of
from efficient_sed.config.benchmark import BenchmarkConfig
from efficient_sed.machine.cores import pin_threads
from efficient_sed.models.fuse import fuse
from efficient_sed.models.sed import SedModel

LONGEST_WAIT_S = 600.0  # for the other processes, to start and warm up or to end


def time_together(model: SedModel, mode: str, precision: str, batch_size: int, config: BenchmarkConfig) -> np.ndarray:
    """Time forward passes in several processes at once.

    Args:
        model: Each process gets a copy.
        mode: "eager" or "fused".
        precision: "fp32" or "bf16".
        batch_size: Clips in a pass.
        config: How many processes and passes, and the length of the clips.

    Returns:
        Seconds of each pass while the other processes run theirs, shape (processes, repeats).
    """
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(config.processes, context) as pool:
        barrier = manager.Barrier(config.processes, timeout=LONGEST_WAIT_S)
        inner = fuse(model) if mode == "fused" else model
        tasks = [
            pool.submit(_serve, inner, precision, batch_size, config, core, barrier) for core in range(config.processes)
        ]
        failures = [error for task in tasks if (error := task.exception()) is not None]
        if failures:  # of the one that failed first, not of those that no longer wait for it
            raise min(failures, key=lambda error: isinstance(error, threading.BrokenBarrierError))
        return np.array([task.result() for task in tasks])


def _serve(
    model: SedModel, precision: str, batch: int, config: BenchmarkConfig, index: int, barrier: threading.Barrier
) -> list[float]:
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        pin_threads({sorted(os.sched_getaffinity(0))[index]})
    try:
        return _time(model, precision, batch, config, barrier)
    except BaseException:
        barrier.abort()  # the others would wait for this one
        raise


def _time(
    model: SedModel, precision: str, batch: int, config: BenchmarkConfig, barrier: threading.Barrier
) -> list[float]:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        mel = model.eval().frontend(torch.randn(batch, round(config.seconds * model.frontend.sample_rate)) * 0.1)
        for _ in range(WARM_UP):
            model(mel)
        barrier.wait()
        seconds = [seconds_of(lambda: model(mel), mel.device) for _ in range(config.repeats)]
        barrier.wait()
    return seconds
