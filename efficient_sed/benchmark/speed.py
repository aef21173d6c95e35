"""How fast a model runs here, and how much memory that takes, by one protocol.

Every row is a mode, precision, batch, and the front end inside or outside, measured after a warm-up on input that already lies on the device. Modes
take turns. Latency is the wall time of a pass that is waited for. Throughput on a CPU, which waits anyway, is that of the same passes; a GPU is given
seconds of passes one after the other without waiting between them, and its energy is that of these. Half precision on a GPU is that of weights in
it, with autocast in a row of its own, on a CPU that of autocast; float32 is not rounded to TF32. Peak memory is that of a mode while no other one is
there. A batch goes in as it is; that a fused copy on a CPU then takes it a few clips at a time, as in `detect`, is in the row. On a CPU threads are
named and, where their number is given, kept to that many cores. Beside each row stands how far its scores are from the model's in float32 as it is.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import gc
import importlib.util
import itertools
import logging
import math
import shutil
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from efficient_sed.benchmark._processes import time_together
from efficient_sed.benchmark._sensors import Sensors, memory_of
from efficient_sed.benchmark.clock import WARM_UP, count_cores, exact_float32, only_cores, seconds_of
from efficient_sed.config.schema import BenchmarkConfig
from efficient_sed.errors import ConfigError
from efficient_sed.machine.allocator import return_freed_memory
from efficient_sed.machine.environment import device_name
from efficient_sed.models.contracts import SedOutput
from efficient_sed.models.fuse import MICRO_BATCH, fuse
from efficient_sed.models.sed import SedModel

logger = logging.getLogger(__name__)
CPU_BATCH = 4  # what a sweep measures; larger ones on request
BLOCKS, BLOCK_S, FIRST_BLOCK = (
    5,
    1.0,
    10,
)  # of passes that a GPU is given at once; the first one, of so many passes, says how many fill the seconds
COMPARED = 2  # clips whose scores are compared with float32
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
Forward = Callable[[Tensor], SedOutput]


@dataclass(frozen=True)
class Speed:
    """One row."""

    mode: str
    precision: str
    autocast: bool
    """Whether half precision was autocast's choice by operation, with weights in float32."""
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
    """By NVML; none on other devices or without the package pynvml."""


class Variant(NamedTuple):
    """What takes turns at one precision."""

    mode: str
    is_autocast: bool


def check_protocol(config: BenchmarkConfig, device: torch.device) -> None:
    """Raise a ConfigError if a mode, precision or number of cores cannot be measured on a device; before a training, not after it."""
    if device.type == "cpu" and "fp16" in config.precision:
        raise ConfigError("benchmark.precision=fp16 is not allowed: a CPU only emulates it; fp32 or bf16")
    if device.type != "cuda" and "graphed" in config.modes:
        raise ConfigError(
            "benchmark.modes=graphed is not allowed: CUDA graphs need a GPU of NVIDIA; eager, fused or compiled"
        )
    if device.type != "cpu" and config.processes > 1:
        raise ConfigError(f"benchmark.processes={config.processes} is not allowed: 1 on a GPU")
    if config.processes > 1 and not {"eager", "fused"} & set(config.modes):
        raise ConfigError(
            f"benchmark.processes={config.processes} is not allowed without eager or fused in benchmark.modes"
        )
    if config.threads is not None and config.threads > count_cores():
        raise ConfigError(
            f"benchmark.threads={config.threads} is not allowed: this process may use {count_cores()} of the machine's cores"
        )
    if config.processes > count_cores():
        raise ConfigError(
            f"benchmark.processes={config.processes} is not allowed: this process may use {count_cores()} of the machine's cores, one for each"
        )
    if "compiled" in config.modes:
        _check_compiler(device)


def _check_compiler(device: torch.device) -> None:
    refused = "benchmark.modes=compiled is not allowed: "
    if device.type == "mps":
        raise ConfigError(f"{refused}torch.compile is measured on CPUs and GPUs of NVIDIA; eager or fused")
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        raise ConfigError(f"{refused}torch.compile finds no Triton; install triton, or leave the mode out")
    if device.type == "cpu" and not (shutil.which("g++") or shutil.which("clang++")):
        raise ConfigError(f"{refused}torch.compile finds no C++ compiler; install g++, or leave the mode out")


def measure_speed(model: SedModel, config: BenchmarkConfig) -> dict[str, Any]:
    """All rows, and of them throughput at the largest batch, latency of one clip and peak memory in the main mode: fused, unless that is left out.

    Readings that the machine does not give are None, with the reason under "speed_missing".

    Raises:
        ConfigError: If a mode, precision or number of cores cannot be measured on the model's device.
    """
    device = next(model.parameters()).device
    check_protocol(config, device)
    is_gpu = device.type != "cpu"
    precisions = config.precision or (("fp16",) if is_gpu else ("fp32",))
    batches = sorted({1, *(config.batches or (config.batch_size if is_gpu else min(config.batch_size, CPU_BATCH),))})
    mels = ("outside", "inside") if config.with_mel else ("outside",)
    was_training = model.training
    model.eval()
    rows: list[Speed] = []
    sensors = Sensors(device)
    try:
        with (
            torch.inference_mode(),
            only_cores(config.threads),
            exact_float32(),
            _every_compilation("compiled" in config.modes),
        ):
            for precision, batch, mel in itertools.product(precisions, batches, mels):
                logger.info("timing %s in %s, batch %d, front end %s", ", ".join(config.modes), precision, batch, mel)
                rows += _measure(model, config, precision, batch, mel, sensors)
            state, name = sensors.conditions(), device_name(device)
    finally:
        model.train(was_training)
    mode = next((mode for mode in ("fused", "eager") if mode in config.modes), config.modes[0])
    is_autocast = _autocasts(precisions[0], device)[0]
    wanted = (mode, precisions[0], is_autocast, "outside")
    main = [row for row in rows if (row.mode, row.precision, row.autocast, row.mel) == wanted]
    whole, single = main[-1], main[0]
    if config.processes > 1:
        rows.append(_together(model, config, whole))
    shared = {"mode": whole.mode, "precision": whole.precision, "threads": whole.threads, "device": name}
    throughput = {"clips_per_s": whole.clips_per_s, "iqr": list(whole.iqr), "batch_size": whole.batch_size, **shared}
    return {
        "throughput": throughput,
        "latency": {"ms": single.latency_ms, "p95_ms": single.latency_p95_ms, "batch_size": 1, **shared},
        "peak_memory_mb": whole.peak_memory_mb,
        "peak_memory_of": memory_of(device),
        "repeats": config.repeats,
        "speeds": [dataclasses.asdict(row) | {"iqr": list(row.iqr)} for row in rows],
        "speed_conditions": state,
        "speed_missing": sensors.missing,
    }


def unmeasured(reason: str) -> dict[str, Any]:
    """What stands where `measure_speed` has not been, or has failed."""
    nothing = dict.fromkeys(("throughput", "latency", "peak_memory_mb", "peak_memory_of", "repeats"))
    return {**nothing, "speeds": [], "speed_conditions": {}, "speed_missing": {"throughput": reason}}


def _autocasts(precision: str, device: torch.device) -> tuple[bool, ...]:
    """Whether a precision is autocast's or the weights', or both in turn; a CPU is faster with its recurrent layers left in float32."""
    return (False,) if precision == "fp32" else (True,) if device.type == "cpu" else (False, True)


def _measure(
    model: SedModel, config: BenchmarkConfig, precision: str, batch: int, mel: str, sensors: Sensors
) -> Iterator[Speed]:
    """The rows of all modes at one precision and batch."""
    device = sensors.device
    if "compiled" in config.modes:
        torch._dynamo.reset()  # else the limit counts the graphs of all models that this process measured
    samples = round(config.seconds * model.frontend.sample_rate)
    waveform = (torch.randn(batch, samples, generator=torch.Generator().manual_seed(0)) * 0.1).to(device)
    x = waveform if mel == "inside" else model.frontend(waveform)
    reference = _scores(_forward(model, Variant("eager", False), "fp32", mel, x), x[:COMPARED])
    variants = [Variant(*each) for each in itertools.product(config.modes, _autocasts(precision, device))]
    runs: dict[Variant, Forward] = {}
    peaks: dict[Variant, float | None] = {}
    for variant in sorted(
        variants, key=lambda variant: variant.mode == "compiled"
    ):  # which is kept: it takes a minute to make
        peaks[variant], run = _peak(model, variant, precision, mel, x, sensors)
        if variant.mode == "compiled":
            runs[variant] = run
        del run
    runs = {variant: runs.get(variant) or _forward(model, variant, precision, mel, x) for variant in variants}
    times = _take_turns({variant: partial(run, x) for variant, run in runs.items()}, config.repeats, sensors)
    for variant, run in runs.items():
        compared = x if variant.mode in ("graphed", "compiled") else x[:COMPARED]  # which are made for one shape
        difference = float((_scores(run, compared)[:COMPARED] - reference).abs().max())
        micro = MICRO_BATCH if variant.mode == "fused" and device.type == "cpu" else None
        threads = torch.get_num_threads() if device.type == "cpu" else None
        latencies, clips = 1e3 * np.array(times[variant].latencies), batch / np.array(times[variant].paces)
        joules = times[variant].joules_per_pass
        low, rate, high = (round(float(value), 3) for value in np.percentile(clips, [25, 50, 75]))
        latency, slowest = (round(float(value), 3) for value in np.percentile(latencies, [50, 95]))
        yield Speed(
            variant.mode, precision, variant.is_autocast, batch, micro, mel, threads, 1, rate, (low, high), latency, slowest,
            peaks[variant], difference, None if joules is None else joules / batch,
        )  # fmt: skip


def _every_compilation(is_compiled: bool) -> contextlib.AbstractContextManager[Any]:
    """Let torch.compile raise where it would run a model uncompiled and say nothing."""
    return torch._dynamo.config.patch(fail_on_recompile_limit_hit=True) if is_compiled else contextlib.nullcontext()


def _peak(
    model: SedModel, variant: Variant, precision: str, mel: str, x: Tensor, sensors: Sensors
) -> tuple[float | None, Forward]:
    """Peak memory of a mode's pass, its weights and input included, and the pass; no other mode's copy may be there."""
    gc.collect()
    return_freed_memory()
    if sensors.device.type == "cuda":
        torch._C._cuda_clearCublasWorkspaces()  # kept for good, else the first mode alone would pay for them
    is_own = variant.mode == "eager" and (precision == "fp32" or variant.is_autocast)  # else it runs a copy
    own = sum(value.nbytes for value in (*model.parameters(), *model.buffers())) if is_own else 0
    others_mb = sensors.allocated_mb() - (own + x.nbytes) / 2**20
    run = _plain_forward(model, variant, precision, mel)
    for _ in range(WARM_UP):
        run(x)
    measured = (
        partial(_captured, run, x) if variant.mode == "graphed" else partial(run, x)
    )  # a replay allocates nothing
    return sensors.peak_memory_mb(measured, others_mb if sensors.device.type != "cpu" else 0.0), run


@dataclass
class Times:
    """Seconds of single passes, seconds a pass of many, and the energy of a pass of these."""

    latencies: list[float] = field(default_factory=list)
    paces: list[float] = field(default_factory=list)
    joules_per_pass: float | None = None


def _take_turns(runs: dict[Variant, Callable[[], object]], repeats: int, sensors: Sensors) -> dict[Variant, Times]:
    """Time all modes, in turn."""
    device, times = sensors.device, {variant: Times() for variant in runs}
    for index in range(WARM_UP + repeats):
        for variant, run in runs.items():
            passed = seconds_of(run, device)
            times[variant].latencies += [passed] if index >= WARM_UP else []
    sensors.joules()  # for the reason, where there is no such counter
    if device.type == "cpu":
        return {variant: dataclasses.replace(each, paces=each.latencies) for variant, each in times.items()}
    passes = {variant: math.ceil(BLOCK_S / seconds_of(run, device, FIRST_BLOCK)) for variant, run in runs.items()}
    energy: dict[Variant, list[float | None]] = {variant: [] for variant in runs}
    for _ in range(BLOCKS):
        for variant, run in runs.items():
            before = sensors.joules()
            times[variant].paces.append(seconds_of(run, device, passes[variant]))
            after = sensors.joules()
            energy[variant].append(None if before is None or after is None else (after - before) / passes[variant])
    for variant, each in energy.items():
        if known := [value for value in each if value is not None]:
            times[variant].joules_per_pass = sensors.read("joules_per_clip", partial(_mean_energy, known))
    return times


def _mean_energy(joules: list[float]) -> float:
    """Mean over blocks.

    Raises:
        ValueError: If the counter did not move.
    """
    if sum(joules) <= 0:
        raise ValueError("the counter of energy did not move")
    return statistics.fmean(joules)


def _forward(model: SedModel, variant: Variant, precision: str, mel: str, x: Tensor) -> Forward:
    """A pass as a mode runs it, from waveform or spectrogram to logits."""
    run = _plain_forward(model, variant, precision, mel)
    return _captured(run, x) if variant.mode == "graphed" else run


def _captured(run: Forward, x: Tensor) -> Forward:
    from efficient_sed.benchmark._graph import captured

    return captured(run, x)


def _plain_forward(model: SedModel, variant: Variant, precision: str, mel: str) -> Forward:
    mode, is_autocast = variant
    weights = torch.float32 if is_autocast else DTYPES[precision]
    inner: Any = model if mode == "eager" else fuse(model)
    if weights != torch.float32:
        inner = copy.deepcopy(inner)
        for part in (inner.backbone, inner.sequence, inner.classifier):
            part.to(weights)
    if mode == "compiled":
        inner = torch.compile(inner, dynamic=False, options={"freezing": True})

    def run(x: Tensor) -> SedOutput:
        casts = (
            torch.autocast(x.device.type, DTYPES[precision], cache_enabled=mode != "graphed")
            if is_autocast
            else contextlib.nullcontext()
        )
        with casts:
            output: SedOutput = inner((model.frontend(x) if mel == "inside" else x).to(weights))
        return output

    return run


def _scores(run: Forward, x: Tensor) -> Tensor:
    return run(x).frame_logits.float().sigmoid().clone()


def _together(model: SedModel, config: BenchmarkConfig, row: Speed) -> Speed:
    """The main row again, by several processes of one thread, each on a core of its own."""
    times = time_together(model, row.mode, row.precision, row.batch_size, config)
    total = np.sum(row.batch_size / times, axis=0)
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
