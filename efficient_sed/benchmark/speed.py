"""How fast a model runs here, and how much memory that takes, by one protocol.

Every row is a mode, precision, batch, and the front end inside or outside, measured after a warm-up on an input that
already lies on the device. Modes take turns. Latency is the time of a forward pass that is waited for, by the wall
clock unless `benchmark.clock` says otherwise. Throughput on a CPU is that of the same passes; a GPU is given seconds of
passes without waiting between them, and its energy is that of these; a CPU that tells its energy is given such passes
for it, too. On a GPU half precision means weights in half precision, with autocast in a row of its own; on a CPU it
means autocast; float32 is not rounded to TF32. Peak memory is that of a mode while no other one is there. A batch goes
in as it is: a fused copy on a CPU splits it into a few clips at a time, as in `detect`, and the row says so. On a CPU
the number of threads is given, and where it was chosen they are kept to as many cores. Each row has the largest
difference of its scores from those of the model in float32.
"""

from __future__ import annotations

import dataclasses
import gc
import importlib.util
import itertools
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from efficient_sed.benchmark._modes import Forward, Variant, captured, create_forward, create_plain_forward
from efficient_sed.benchmark._processes import time_together
from efficient_sed.benchmark._sensors import Sensors
from efficient_sed.benchmark.clock import ENERGY, MEASURED, WARM_UP, Clock, Key, summarise, take_turns
from efficient_sed.benchmark.energy.blocks import time_blocks
from efficient_sed.benchmark.float32 import exact_float32
from efficient_sed.benchmark.memory import memory_of
from efficient_sed.config.benchmark import BenchmarkConfig
from efficient_sed.errors import ConfigError
from efficient_sed.machine.allocator import return_freed_memory
from efficient_sed.machine.cores import count_cores, only_cores
from efficient_sed.machine.environment import device_name
from efficient_sed.models.fuse import MICRO_BATCH
from efficient_sed.models.sed import SedModel

logger = logging.getLogger(__name__)
CPU_BATCH = 4  # what a sweep measures; larger ones on request
BLOCKS, BLOCK_S = 5, 1.0  # blocks of passes that a GPU is given at once, and their seconds
CPU_BLOCKS, CPU_BLOCK_S = 3, 0.5  # the same for the energy of a CPU
FIRST_BLOCK = 10  # passes that are timed to find how many fill a block
COMPARED = 2  # clips whose scores are compared with float32


@dataclass(frozen=True)
class Speed:
    """One row."""

    mode: str
    precision: str
    autocast: bool
    """Whether half precision was autocast's choice by operation, with weights in float32."""
    batch_size: int
    micro_batch: int | None
    """Clips that go through the backbone at once; None for the whole batch."""
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
    energy_j_per_clip: float | None
    """Joules of the device that is measured; see `efficient_sed.benchmark.energy`."""


def check_protocol(config: BenchmarkConfig, device: torch.device) -> None:
    """Check before a training, not after it, that a benchmark can be carried out.

    Raises:
        ConfigError: If a mode, precision or number of cores cannot be measured on the device.
    """
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
            f"benchmark.threads={config.threads} is not allowed: "
            f"this process may use {count_cores()} of the machine's cores"
        )
    if config.processes > count_cores():
        raise ConfigError(
            f"benchmark.processes={config.processes} is not allowed: "
            f"this process may use {count_cores()} of the machine's cores, one for each"
        )
    if config.clock == "cpu" and (device.type != "cpu" or (config.threads or torch.get_num_threads()) > 1):
        raise ConfigError("benchmark.clock=cpu is not allowed: CPU time is that of one thread; give --threads 1")
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
    """Measure all rows.

    Args:
        model: On the device that is measured.
        config: What is measured.

    Returns:
        For a result file: "speeds" with all rows, and of the main mode (fused, unless that is left out) "throughput" at
        the largest batch, "latency" of one clip, "peak_memory_mb" and "energy_j_per_clip". A reading that the machine
        does not give is None, with the reason under "speed_missing".

    Raises:
        ConfigError: If a mode, precision or number of cores cannot be measured on the model's device.
    """
    device = next(model.parameters()).device
    check_protocol(config, device)
    is_gpu = device.type != "cpu"
    precisions = precisions_on(config, device)
    batches = sorted({1, *(config.batches or (config.batch_size if is_gpu else min(config.batch_size, CPU_BATCH),))})
    mels = ("outside", "inside") if config.with_mel else ("outside",)
    was_training = model.training
    model.eval()
    rows: list[Speed] = []
    sensors = Sensors(device)
    try:
        with torch.inference_mode(), only_cores(config.threads), exact_float32():
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
    shared["clock"] = config.clock
    throughput = {"clips_per_s": whole.clips_per_s, "iqr": list(whole.iqr), "batch_size": whole.batch_size, **shared}
    return {
        "throughput": throughput,
        "latency": {"ms": single.latency_ms, "p95_ms": single.latency_p95_ms, "batch_size": 1, **shared},
        "peak_memory_mb": whole.peak_memory_mb,
        "peak_memory_of": memory_of(device),
        ENERGY: whole.energy_j_per_clip,
        "energy_method": None if whole.energy_j_per_clip is None else sensors.energy.method,
        "repeats": config.repeats,
        "speeds": [dataclasses.asdict(row) | {"iqr": list(row.iqr)} for row in rows],
        "speed_conditions": state,
        "speed_missing": sensors.missing | ({} if (why := sensors.energy.reason) is None else {ENERGY: why}),
    }


def precisions_on(config: BenchmarkConfig, device: torch.device) -> tuple[str, ...]:
    """Number formats that are measured; the first is that of the headline."""
    return config.precision or (("fp32",) if device.type == "cpu" else ("fp16",))


def unmeasured(reason: str) -> dict[str, Any]:
    """What stands in a result in place of `measure_speed` where that was not called, or failed."""
    nothing = {"speeds": [], "speed_conditions": {}, "speed_missing": {"throughput": reason}}
    return {**dict.fromkeys(MEASURED), **nothing}


def _autocasts(precision: str, device: torch.device) -> tuple[bool, ...]:
    """Whether autocast or the weights are in half precision, or both in turn.

    A CPU is faster with its recurrent layers left in float32.
    """
    return (False,) if precision == "fp32" else (True,) if device.type == "cpu" else (False, True)


def _measure(
    model: SedModel, config: BenchmarkConfig, precision: str, batch: int, mel: str, sensors: Sensors
) -> Iterator[Speed]:
    """The rows of all modes at one precision and batch."""
    device = sensors.device
    if "compiled" in config.modes:
        torch.compiler.reset()  # else the limit of graphs counts those of all models that this process measured
    samples = round(config.seconds * model.frontend.sample_rate)
    waveform = (torch.randn(batch, samples, generator=torch.Generator().manual_seed(0)) * 0.1).to(device)
    x = waveform if mel == "inside" else model.frontend(waveform)
    reference = _scores(create_forward(model, Variant("eager", False), "fp32", mel, x), x[:COMPARED])
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
    runs = {variant: runs.get(variant) or create_forward(model, variant, precision, mel, x) for variant in variants}
    passes = {variant: partial(run, x) for variant, run in runs.items()}
    num_blocks, block_s = (CPU_BLOCKS, CPU_BLOCK_S) if device.type == "cpu" else (BLOCKS, BLOCK_S)
    times = time_modes(passes, config.repeats, sensors, num_blocks, block_s, config.clock)
    for variant, run in runs.items():
        compared = x if variant.mode in ("graphed", "compiled") else x[:COMPARED]  # which are made for one shape
        difference = float((_scores(run, compared)[:COMPARED] - reference).abs().max())
        micro = MICRO_BATCH if variant.mode == "fused" and device.type == "cpu" else None
        threads = torch.get_num_threads() if device.type == "cpu" else None
        joules = times[variant].joules_per_pass
        pace = summarise(times[variant].latencies, batch, times[variant].paces)
        yield Speed(
            variant.mode, precision, variant.is_autocast, batch, micro, mel, threads, 1, *pace,
            peaks[variant], difference, None if joules is None else joules / batch,
        )  # fmt: skip


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
    run = create_plain_forward(model, variant, precision, mel)
    for _ in range(WARM_UP):
        run(x)
    measured = partial(captured, run, x) if variant.mode == "graphed" else partial(run, x)  # a replay allocates nothing
    return sensors.peak_memory_mb(measured, others_mb if sensors.device.type != "cpu" else 0.0), run


@dataclass
class Times:
    """Seconds of single passes, seconds a pass of many, and the energy of a pass of these."""

    latencies: list[float]
    paces: list[float]
    joules_per_pass: float | None = None


def time_modes(
    runs: Mapping[Key, Callable[[], object]],
    repeats: int,
    sensors: Sensors,
    num_blocks: int,
    block_s: float,
    clock: Clock = "wall",
) -> dict[Key, Times]:
    """Time all modes in turn: single passes, and on a GPU also blocks of passes. Energy is that of blocks.

    Args:
        runs: Each makes one pass.
        repeats: Single passes of each.
        sensors: Of the device that the passes run on.
        num_blocks: Blocks of each.
        block_s: Seconds of a block.
        clock: Of the single passes.
    """
    device = sensors.device
    latencies = take_turns(runs, repeats, device, clock)
    is_gpu = device.type != "cpu"
    if not is_gpu and sensors.energy.method is None:
        return {mode: Times(seconds, seconds) for mode, seconds in latencies.items()}
    with sensors.energy as energy:
        blocks = time_blocks(runs, energy, num_blocks, block_s, device, FIRST_BLOCK if is_gpu else 1)
    return {
        mode: Times(seconds, blocks[mode].paces if is_gpu else seconds, blocks[mode].joules_per_pass)
        for mode, seconds in latencies.items()
    }


def _scores(run: Forward, x: Tensor) -> Tensor:
    return run(x).frame_logits.float().sigmoid().clone()


def _together(model: SedModel, config: BenchmarkConfig, row: Speed) -> Speed:
    """The main row again, by several processes of one thread, each on a core of its own."""
    seconds = time_together(model, row.mode, row.precision, row.batch_size, config)
    rates = np.sum(row.batch_size / seconds, axis=0)  # of all processes
    pace = summarise(seconds.ravel().tolist(), 1, (1 / rates).tolist())
    return dataclasses.replace(
        row,
        threads=1,
        processes=config.processes,
        clips_per_s=pace.clips_per_s,
        iqr=pace.quartiles,
        latency_ms=pace.latency_ms,
        latency_p95_ms=pace.latency_p95_ms,
        peak_memory_mb=None,
        max_score_difference=None,
        energy_j_per_clip=None,
    )
