"""What exported models cost on this machine, without PyTorch: what a small board measures and brings back.

Files take turns pass by pass, one clip at a time, after a warm-up; seconds are wall time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from efficient_sed.benchmark.clock import ENERGY, Key, Pace, summarise, take_turns
from efficient_sed.benchmark.energy.blocks import time_blocks
from efficient_sed.benchmark.energy.recorder import EnergyRecorder
from efficient_sed.errors import ConfigError
from efficient_sed.inference.exported_model import ExportedModel
from efficient_sed.inference.header import CLIP_SCORES, FRAME_SCORES, Header
from efficient_sed.machine.cores import count_cores
from efficient_sed.machine.environment import cpu_name, describe_environment
from efficient_sed.machine.memory import process_peak_mb
from efficient_sed.registry import ENGINES

PASSES = 30
BLOCKS, BLOCK_S = 3, 0.5  # blocks of passes for the energy, where the machine tells it, and their seconds


def benchmark_exported(
    paths: Sequence[Path], engines: Sequence[str] | None = None, num_threads: int = 1, passes: int = PASSES
) -> list[dict[str, Any]]:
    """Measure exported models.

    Args:
        paths: Files that `efficient-sed export` wrote.
        engines: Names of the engines that run each file; default None, the default one for its ending.
        num_threads: Of an engine.
        passes: Timed passes of each file in each engine.

    Returns:
        A record for each file and engine, as `efficient-sed benchmark --json` prints them; `efficient-sed plot
        --device` makes points of them.

    Raises:
        CheckpointError: If a file is missing or none of this package, or an engine fails its self-test.
        ConfigError: If there is no such engine, or the machine has fewer cores than threads.
        MissingDependencyError: Without an engine's package.
    """
    check_threads(num_threads)
    names: Sequence[str | None] = engines or [None]
    opened: dict[tuple[Path, str | None], ExportedModel] = {}
    load_ms: float | None = None
    for path in dict.fromkeys(paths):
        for name in dict.fromkeys(names):
            start = time.perf_counter()
            opened[path, name] = ExportedModel(path, num_threads, name)
            load_ms = round(1e3 * (time.perf_counter() - start), 1)
    runs = {key: one_clip(model) for key, model in opened.items()}
    seconds = take_turns(runs, passes)
    peak_memory_mb = process_peak_mb()
    if len(opened) > 1:  # memory would be that of all together, and all but the first would find packages imported
        load_ms = peak_memory_mb = None
    energy = _energy(runs)
    return [
        _record(model, summarise(seconds[key]), num_threads, passes, peak_memory_mb, load_ms, energy[key])
        for key, model in opened.items()
    ]


def _energy(runs: Mapping[Key, Callable[[], object]]) -> dict[Key, dict[str, Any]]:
    """What a record says of the energy of each one's passes."""
    with EnergyRecorder.of_device() as recorder:
        blocks = time_blocks(runs, recorder, BLOCKS, BLOCK_S) if recorder.method else {}
    joules = {key: blocks[key].joules_per_pass if key in blocks else None for key in runs}
    missing = {} if recorder.reason is None else {ENERGY: recorder.reason}
    return {
        key: {ENERGY: value, "energy_method": recorder.method if value is not None else None, "speed_missing": missing}
        for key, value in joules.items()
    }


def one_clip(model: ExportedModel) -> Callable[[], object]:
    """A forward pass over noise of the length that the model was trained on, with the scores that its task needs."""
    header = model.header
    noise = (0.1 * np.random.default_rng(0).standard_normal((1, header.clip_samples))).astype(np.float32)
    clip: dict[str, np.ndarray] = {header.input: noise if header.spectrogram is None else header.spectrogram(noise)}
    output = FRAME_SCORES if header.task == "detection" else CLIP_SCORES
    return lambda: model.session.run([output], clip)


def check_threads(num_threads: int) -> None:
    """Check a number of threads.

    Raises:
        ConfigError: Unless this process may use that many cores.
    """
    if not 1 <= num_threads <= count_cores():
        raise ConfigError(
            f"--threads {num_threads} is not allowed: this process may use 1 to {count_cores()} of the machine's cores"
        )


def _record(
    model: ExportedModel,
    pace: Pace,
    num_threads: int,
    passes: int,
    peak_memory_mb: float | None,
    load_ms: float | None,
    energy: Mapping[str, Any],
) -> dict[str, Any]:
    header, engine = model.header, model.session
    device = f"CPU {cpu_name()}, {num_threads} threads"
    shared = {
        "mode": f"{engine.version}, from {header.input}",
        "precision": header.precision if engine.is_exact else f"{header.precision} in {engine.name}",
        "threads": num_threads,
        "device": device,
        "batch_size": 1,
    }
    return {
        "model": header.model_name,
        "signature": header.signature,
        "trained_on": header.trained_on,
        "self_test": {"difference": model.self_test_difference, "allowed": model.allowed_difference},
        "score": _score(header) if header.scored_by == engine.name else None,
        "complexity": {
            "params": header.params,
            "macs": header.macs,
            "macs_by_part": {"frontend": header.macs_frontend},
            "seconds": header.clip_seconds,
            "throughput": {"clips_per_s": pace.clips_per_s, "iqr": list(pace.quartiles), **shared},
            "latency": {"ms": pace.latency_ms, "p95_ms": pace.latency_p95_ms, **shared},
            "peak_memory_mb": peak_memory_mb,
            "peak_memory_of": "whole process since its start",
            "load_ms": load_ms,
            **energy,
            "repeats": passes,
        },
        "environment": describe_environment(device, _packages()),
    }


def _packages() -> list[str]:
    """Packages whose versions a record states: those of all engines among them."""
    return ["efficient-sed", "numpy", "torch", *sorted({ENGINES.get(name).package for name in ENGINES.names()} - {""})]


def _score(header: Header) -> dict[str, Any]:
    return {
        "metric": header.metric,
        "value": header.score,
        "on": header.scored_on,
        "manifest_hash": header.manifest_hash,
        "conditions": header.conditions,
    }
