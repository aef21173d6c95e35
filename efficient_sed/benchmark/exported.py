"""How fast exported models run on this machine, without PyTorch: what a small board measures and brings back.

Files take turns pass by pass, one clip at a time, after a warm-up; seconds are wall time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from efficient_sed.errors import CheckpointError, ConfigError
from efficient_sed.inference.engines import DEFAULT_ENGINE, Engine, open_engine
from efficient_sed.inference.header import CLIP_SCORES, FRAME_SCORES, Header, read_header
from efficient_sed.machine.environment import cpu_name, describe_environment
from efficient_sed.machine.memory import process_peak_mb

WARM_UP = 3  # passes before the first that counts
PASSES = 30
PACKAGES = ("efficient-sed", "numpy", "onnxruntime", "openvino", "torch")


class Pace(NamedTuple):
    """Of one clip at a time."""

    latency_ms: float
    latency_p95_ms: float
    clips_per_s: float
    quartiles: tuple[float, float]
    """Of clips a second."""


def take_turns(runs: Mapping[str, Callable[[], object]], passes: int = PASSES) -> dict[str, Pace]:
    """Time functions of which each handles one clip."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for index in range(WARM_UP + passes):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if index >= WARM_UP:
                seconds[name].append(time.perf_counter() - start)
    return {name: _pace(np.array(own)) for name, own in seconds.items()}


def one_clip(engine: Engine, header: Header) -> Callable[[], object]:
    """A pass over noise of the length that the model was trained on, with the scores that its task needs."""
    rng, samples = np.random.default_rng(0), round(header.clip_seconds * header.sample_rate)
    shape = (1, samples) if header.input == "waveform" else (1, 1, header.mel_bins, samples // header.hop_length)
    clip: dict[str, np.ndarray] = {header.input: (0.1 * rng.standard_normal(shape)).astype(np.float32)}
    output = FRAME_SCORES if header.task == "detection" else CLIP_SCORES
    return lambda: engine.run([output], clip)


def benchmark_exported(
    paths: Sequence[Path], engines: Sequence[str] = (DEFAULT_ENGINE,), num_threads: int = 1, passes: int = PASSES
) -> list[dict[str, Any]]:
    """What exported models cost on this machine, in the form of `efficient-sed benchmark`, of which `efficient-sed plot --device` makes points.

    Args:
        engines: Each file is run by each.

    Raises:
        CheckpointError: If a file is missing or none of this package.
        ConfigError: If there is no such engine, or the machine has fewer cores than threads.
        MissingDependencyError: Without an engine's package.
    """
    check_threads(num_threads)
    runs: dict[str, Callable[[], object]] = {}
    opened: dict[str, tuple[Header, str, Engine]] = {}
    for path in dict.fromkeys(paths):
        if not path.is_file():
            raise CheckpointError(f"{path}: no such file")
        for name in dict.fromkeys(engines):
            engine = open_engine(path, num_threads, name)
            header = read_header(path, engine.metadata)
            key = f"{path} {name}"
            runs[key], opened[key] = one_clip(engine, header), (header, name, engine)
    paces = take_turns(runs, passes)
    peak_memory_mb = process_peak_mb() if len(runs) == 1 else None  # of several it would be that of all together
    return [_record(*opened[key], paces[key], num_threads, passes, peak_memory_mb) for key in runs]


def check_threads(num_threads: int) -> None:
    """Raise a ConfigError unless the machine has that many cores for this process."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not 1 <= num_threads <= cores:
        raise ConfigError(
            f"--threads {num_threads} is not allowed: this process may use 1 to {cores} of the machine's cores"
        )


def _pace(seconds: np.ndarray) -> Pace:
    low, middle, high = 1 / np.percentile(seconds, [75, 50, 25])
    latency, slowest = 1e3 * np.percentile(seconds, [50, 95])
    return Pace(
        round(float(latency), 3),
        round(float(slowest), 3),
        round(float(middle), 3),
        (round(float(low), 3), round(float(high), 3)),
    )


def _record(
    header: Header, name: str, engine: Engine, pace: Pace, num_threads: int, passes: int, peak_memory_mb: float | None
) -> dict[str, Any]:
    device = f"CPU {cpu_name()}, {num_threads} threads"
    precision = header.precision if engine.is_exact else f"{header.precision} in {name}"
    shared = {
        "mode": f"{engine.version}, from {header.input}",
        "precision": precision,
        "threads": num_threads,
        "device": device,
        "batch_size": 1,
    }
    return {
        "model": header.model_name,
        "signature": header.signature,
        "trained_on": header.trained_on,
        "score": _score(header) if header.scored_by == name else None,
        "complexity": {
            "params": header.params,
            "macs": header.macs,
            "macs_by_part": {"frontend": header.macs_frontend},
            "seconds": header.clip_seconds,
            "throughput": {"clips_per_s": pace.clips_per_s, "iqr": list(pace.quartiles), **shared},
            "latency": {"ms": pace.latency_ms, "p95_ms": pace.latency_p95_ms, **shared},
            "peak_memory_mb": peak_memory_mb,
            "peak_memory_of": "whole process since its start",
            "repeats": passes,
        },
        "environment": describe_environment(device, PACKAGES),
    }


def _score(header: Header) -> dict[str, Any]:
    return {
        "metric": header.metric,
        "value": header.score,
        "on": header.scored_on,
        "manifest_hash": header.manifest_hash,
        "conditions": header.conditions,
    }
