"""Several processes at once, each with one thread on a core of its own: how a CPU serves."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch

from efficient_sed.audio.frontend import SAMPLE_RATE
from efficient_sed.benchmark._clock import WARM_UP
from efficient_sed.config.schema import BenchmarkConfig
from efficient_sed.models._fuse import fuse
from efficient_sed.models.sed import SedModel

if TYPE_CHECKING:
    from efficient_sed.benchmark.throughput import Speed


def clips_per_s_together(model: SedModel, row: Speed, config: BenchmarkConfig) -> tuple[np.ndarray, np.ndarray]:
    """Rates and seconds (processes, repeats) of a row's passes, timed while the other processes run theirs."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(config.processes, context) as pool:
        barrier = manager.Barrier(config.processes)
        inner = fuse(model) if row.mode == "fused" else model
        tasks = [pool.submit(_serve, inner, row.precision, row.batch_size, config, core, barrier) for core in range(config.processes)]
        seconds = np.array([task.result() for task in tasks])
    return row.batch_size / seconds, seconds


def _serve(model: SedModel, precision: str, batch: int, config: BenchmarkConfig, index: int, barrier: threading.Barrier) -> list[float]:
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[index % len(cores)]})
    seconds = []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        mel = model.eval().frontend(torch.randn(batch, round(config.seconds * SAMPLE_RATE)) * 0.1)
        for _ in range(WARM_UP):
            model(mel)
        barrier.wait()
        for _ in range(config.repeats):
            start = time.perf_counter()
            model(mel)
            seconds.append(time.perf_counter() - start)
        barrier.wait()
    return seconds
