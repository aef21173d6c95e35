"""How fast a model runs here, and how much memory that takes, by one protocol.

Every row is a mode, precision, batch, and the front end inside or outside: modes take turns pass by pass after a warm-up, on input that already
lies on the device. A batch goes in as it is; that a fused copy on a CPU then takes it a few clips at a time, as in `detect`, is in the row.
On a CPU seconds are wall time, with threads named and, where their number is given, kept to that many cores; on a GPU between CUDA events.
Beside each row stands how far its scores are from those of the model in float32 as it is.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from efficient_sed.benchmark._clock import WARM_UP, conditions, count_cores, joules, only_cores, seconds_of
from efficient_sed.benchmark._processes import clips_per_s_together
from efficient_sed.config.schema import BenchmarkConfig
from efficient_sed.environment import device_name
from efficient_sed.errors import ConfigError
from efficient_sed.models._fuse import MICRO_BATCH, fuse
from efficient_sed.models.contracts import SedOutput
from efficient_sed.models.sed import SedModel

logger = logging.getLogger(__name__)
CLEAR_PEAK = Path("/proc/self/clear_refs")
CPU_BATCH = 4  # what a sweep measures; larger ones on request
COMPARED = 2  # clips whose scores are compared with float32
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
Forward = Callable[[Tensor], SedOutput]


@dataclass(frozen=True)
class Speed:
    """One row."""

    mode: str
    precision: str
    batch_size: int
    micro_batch: int | None
    """Clips that go through the backbone at once; none: the batch."""
    mel: str
    """Whether the front end is "inside" the timed pass or "outside", as published."""
    threads: int | None
    processes: int
    clips_per_s: float
    iqr: tuple[float, float]
    latency_ms: float
    latency_p95_ms: float
    """Of a pass over the whole batch."""
    peak_memory_mb: float | None
    max_score_difference: float | None
    joules_per_clip: float | None
    """By NVML; none on a CPU or without the package pynvml."""


def check_protocol(config: BenchmarkConfig, device: torch.device) -> None:
    """Raise a ConfigError if a mode, precision or number of cores cannot be measured on a device; before a training, not after it."""
    if device.type == "cpu" and "fp16" in config.precision:
        raise ConfigError("benchmark.precision=fp16 is not allowed: a CPU only emulates it; fp32 or bf16")
    if device.type == "cpu" and "graphed" in config.modes:
        raise ConfigError("benchmark.modes=graphed is not allowed: CUDA graphs need a GPU; eager, fused or compiled")
    if device.type != "cpu" and config.processes > 1:
        raise ConfigError(f"benchmark.processes={config.processes} is not allowed: 1 on a GPU")
    if config.processes > 1 and not {"eager", "fused"} & set(config.modes):
        raise ConfigError(f"benchmark.processes={config.processes} is not allowed without eager or fused in benchmark.modes")
    if config.threads is not None and config.threads > count_cores():
        raise ConfigError(f"benchmark.threads={config.threads} is not allowed: this process may use {count_cores()} of the machine's cores")
    if config.processes > count_cores():
        raise ConfigError(f"benchmark.processes={config.processes} is not allowed: this process may use {count_cores()} of the machine's cores, one for each")
    if "compiled" in config.modes and device.type == "cpu" and not (shutil.which("g++") or shutil.which("clang++")):
        raise ConfigError("benchmark.modes=compiled is not allowed: torch.compile finds no C++ compiler; install g++, or leave the mode out")


def measure_speed(model: SedModel, config: BenchmarkConfig) -> dict[str, Any]:
    """All rows, and of them throughput at the largest batch, latency of one clip and peak memory in the main mode: fused, unless that is left out.

    Raises:
        ConfigError: If a mode, precision or number of cores cannot be measured on the model's device.
    """
    device = next(model.parameters()).device
    check_protocol(config, device)
    is_gpu = device.type == "cuda"
    precisions = config.precision or (("fp16",) if is_gpu else ("fp32",))
    batches = sorted({1, *(config.batches or (config.batch_size if is_gpu else min(config.batch_size, CPU_BATCH),))})
    was_training = model.training
    model.eval()
    rows: list[Speed] = []
    with torch.inference_mode(), only_cores(config.threads):
        for precision, batch, mel in itertools.product(precisions, batches, ("outside", "inside") if config.with_mel else ("outside",)):
            logger.info("timing %s in %s, batch %d, front end %s", ", ".join(config.modes), precision, batch, mel)
            rows += _measure(model, config, precision, batch, mel)
        state, name = conditions(device), device_name(device)
    model.train(was_training)
    mode = next((mode for mode in ("fused", "eager") if mode in config.modes), config.modes[0])
    main = [row for row in rows if (row.mode, row.precision, row.mel) == (mode, precisions[0], "outside")]
    whole, single = main[-1], main[0]
    if config.processes > 1:
        rows.append(_together(model, config, whole))
    shared = {"mode": whole.mode, "precision": whole.precision, "threads": whole.threads, "device": name}
    return {
        "throughput": {"clips_per_s": whole.clips_per_s, "iqr": list(whole.iqr), "batch_size": whole.batch_size, **shared},
        "latency": {"ms": single.latency_ms, "p95_ms": single.latency_p95_ms, "batch_size": 1, **shared},
        "peak_memory_mb": whole.peak_memory_mb,
        "peak_memory_of": "GPU allocations" if is_gpu else "whole process" if _reset_peak_memory() else "whole process since its start",
        "repeats": config.repeats,
        "speeds": [dataclasses.asdict(row) | {"iqr": list(row.iqr)} for row in rows],
        "speed_conditions": state,
    }


def _measure(model: SedModel, config: BenchmarkConfig, precision: str, batch: int, mel: str) -> Iterator[Speed]:
    """The rows of all modes at one precision and batch; their passes alternate."""
    device = next(model.parameters()).device
    waveform = torch.randn(batch, round(config.seconds * model.frontend.sample_rate), device=device, generator=torch.Generator(device).manual_seed(0)) * 0.1
    x = waveform if mel == "inside" else model.frontend(waveform)
    reference = _scores(_forward(model, "eager", "fp32", x, mel), x[:COMPARED])
    runs = {mode: _forward(model, mode, precision, x, mel) for mode in config.modes}
    seconds: dict[str, list[float]] = {mode: [] for mode in runs}
    energy: dict[str, list[float]] = {mode: [] for mode in runs}
    for index in range(WARM_UP + config.repeats):
        for mode, run in runs.items():
            before = joules(device)
            passed = seconds_of(lambda run=run: run(x), device)  # type: ignore[misc]
            if index >= WARM_UP:
                seconds[mode].append(passed)
                energy[mode] += [] if before is None else [(joules(device) or before) - before]
    for mode, run in runs.items():
        peak = _peak_memory_mb(lambda run=run: run(x), device)  # type: ignore[misc]
        compared = x if mode == "graphed" else x[:COMPARED]  # a graph takes one shape
        difference = float((_scores(run, compared)[:COMPARED] - reference).abs().max())
        times, micro = np.array(seconds[mode]), MICRO_BATCH if mode == "fused" and device.type == "cpu" else None
        clips = batch / times
        quartiles = float(np.percentile(clips, 25)), float(np.percentile(clips, 75))
        yield Speed(
            mode, precision, batch, micro, mel, torch.get_num_threads() if device.type == "cpu" else None, 1,
            round(float(np.median(clips)), 3), (round(quartiles[0], 3), round(quartiles[1], 3)),
            round(float(np.median(times)) * 1e3, 3), round(float(np.percentile(times, 95)) * 1e3, 3),
            peak, difference, float(np.mean(energy[mode])) / batch if energy[mode] else None,
        )  # fmt: skip


def _forward(model: SedModel, mode: str, precision: str, x: Tensor, mel: str) -> Forward:
    """A pass as a mode runs it, from waveform or spectrogram to logits."""
    if mode == "eager":
        inner: Any = model
    elif mode == "compiled":
        inner = torch.compile(fuse(model), dynamic=False, options={"freezing": True})
    else:
        inner = fuse(model)

    def run(x: Tensor) -> SedOutput:
        context: Any = contextlib.nullcontext() if precision == "fp32" else torch.autocast(x.device.type, DTYPES[precision], cache_enabled=mode != "graphed")
        with context:
            output: SedOutput = inner(model.frontend(x) if mel == "inside" else x)
        return output

    if mode != "graphed":
        return run
    from efficient_sed.benchmark._graph import captured

    return captured(run, x)


def _scores(run: Forward, x: Tensor) -> Tensor:
    return run(x).frame_logits.float().sigmoid().clone()


def _together(model: SedModel, config: BenchmarkConfig, row: Speed) -> Speed:
    """The main row again, by several processes of one thread, each on a core of its own."""
    rates, times = clips_per_s_together(model, row, config)
    total = np.sum(rates, axis=0)
    return dataclasses.replace(
        row,
        threads=1,
        processes=config.processes,
        clips_per_s=round(float(np.median(total)), 3),
        iqr=(round(float(np.percentile(total, 25)), 3), round(float(np.percentile(total, 75)), 3)),
        latency_ms=round(float(np.median(times)) * 1e3, 3),
        latency_p95_ms=round(float(np.percentile(times, 95)) * 1e3, 3),
        peak_memory_mb=None,
        max_score_difference=None,
    )


def _peak_memory_mb(run: Callable[[], object], device: torch.device) -> float:
    """Of one pass."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        run()
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    if not _reset_peak_memory():
        run()
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10), 1)
    run()
    (line,) = [line for line in CLEAR_PEAK.with_name("status").read_text().splitlines() if line.startswith("VmHWM")]
    return round(int(line.split()[1]) / 2**10, 1)


def _reset_peak_memory() -> bool:
    """Begin the peak of this process anew, which Linux does unless a container keeps the file from being written; whether it did."""
    try:
        CLEAR_PEAK.write_text("5")
    except OSError:
        return False
    return True
