"""How fast a model runs here, and how much memory that takes."""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from efficient_sed.audio.frontend import SAMPLE_RATE
from efficient_sed.config.schema import BenchmarkConfig
from efficient_sed.environment import device_name
from efficient_sed.models.sed import SedModel

WARM_UP = 3
CLEAR_PEAK = Path("/proc/self/clear_refs")
CPU_BATCH = 4  # larger ones only fall out of a CPU's cache
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def measure_speed(model: SedModel, config: BenchmarkConfig) -> dict[str, Any]:
    """Throughput at a batch, latency of one clip and peak memory, from spectrogram to logits (the front end is left out, as published).

    Median and quartiles over repeated passes after a warm-up; a GPU is waited for. Precision, batch, device and threads are in the result.
    """
    device = next(model.parameters()).device
    is_gpu = device.type == "cuda"
    precision = config.precision or ("fp16" if is_gpu else "fp32")
    batch_size = config.batch_size if is_gpu else min(config.batch_size, CPU_BATCH)
    was_training = model.training
    model.eval()
    _reset_peak_memory(device)
    with torch.inference_mode():
        mel = model.frontend(torch.randn(batch_size, round(config.seconds * SAMPLE_RATE), device=device) * 0.1)
        context: Any = contextlib.nullcontext() if precision == "fp32" else torch.autocast(device.type, DTYPES[precision])
        with context:
            batch = _time(lambda: model(mel), config.repeats, device)
            single = _time(lambda: model(mel[:1]), config.repeats, device)
    model.train(was_training)
    clips = batch_size / batch
    name = device_name(device)
    return {
        "throughput": {"clips_per_s": _median(clips), "iqr": _iqr(clips), "batch_size": batch_size, "precision": precision, "device": name},
        "latency": {"ms": _median(single * 1e3), "iqr_ms": _iqr(single * 1e3), "batch_size": 1, "precision": precision, "device": name},
        "peak_memory_mb": _peak_memory_mb(device),
        "peak_memory_of": "GPU allocations" if is_gpu else "whole process" if CLEAR_PEAK.exists() else "whole process since its start",
        "repeats": config.repeats,
    }


def _time(run: Callable[[], Any], repeats: int, device: torch.device) -> np.ndarray:
    """Seconds of each timed pass."""
    seconds = []
    for index in range(WARM_UP + repeats):
        _wait(device)
        start = time.perf_counter()
        run()
        _wait(device)
        if index >= WARM_UP:
            seconds.append(time.perf_counter() - start)
    return np.array(seconds)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _reset_peak_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif CLEAR_PEAK.exists():
        CLEAR_PEAK.write_text("5")  # Linux: begin the peak of this process anew


def _peak_memory_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    if CLEAR_PEAK.exists():
        (line,) = [line for line in CLEAR_PEAK.with_name("status").read_text().splitlines() if line.startswith("VmHWM")]
        return round(int(line.split()[1]) / 2**10, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def _median(values: np.ndarray) -> float:
    return round(float(np.median(values)), 3)


def _iqr(values: np.ndarray) -> list[float]:
    return [round(float(value), 3) for value in np.percentile(values, [25, 75])]
