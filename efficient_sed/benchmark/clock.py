"""The timing protocol: how long forward passes take, measured in turn after a warm-up.

PyTorch is imported for GPUs only, so that a small board can measure exported models without it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch

WARM_UP = 3  # passes before the first that counts
DIGITS = 3
ENERGY = "energy_j_per_clip"
MEASURED = ("throughput", "latency", "peak_memory_mb", "peak_memory_of", ENERGY, "energy_method", "repeats")
"""Keys of a result's "complexity" that were measured on a machine, of a model or an exported file."""
Key = TypeVar("Key", bound=Hashable)
Clock = Literal["wall", "cpu"]
"""CPU time is that of all threads of this process; other programs hardly lengthen it."""


class Pace(NamedTuple):
    """Statistics of timed passes."""

    clips_per_s: float
    """Median."""
    quartiles: tuple[float, float]
    """Of clips a second."""
    latency_ms: float
    """Median of a pass over the whole batch."""
    latency_p95_ms: float


def summarise(latencies: Sequence[float], batch_size: int = 1, seconds_per_pass: Sequence[float] | None = None) -> Pace:
    """Turn seconds into clips a second and milliseconds.

    Args:
        latencies: Seconds of single passes that were waited for.
        batch_size: Clips in a pass.
        seconds_per_pass: Seconds of a pass where many follow one another; default None, the latencies.
    """
    rates = batch_size / np.asarray(latencies if seconds_per_pass is None else seconds_per_pass)
    low, rate, high = (round(float(value), DIGITS) for value in np.percentile(rates, [25, 50, 75]))
    latency, slowest = (round(1e3 * float(value), DIGITS) for value in np.percentile(latencies, [50, 95]))
    return Pace(rate, (low, high), latency, slowest)


def take_turns(
    runs: Mapping[Key, Callable[[], object]],
    repeats: int,
    device: torch.device | None = None,
    clock: Clock = "wall",
) -> dict[Key, list[float]]:
    """Time functions in turn, so that a machine that slows down slows all of them.

    Args:
        runs: Each makes one pass.
        repeats: Passes of each that count, after the warm-up.
        device: Waited for after each pass; default None, the CPU.
        clock: What the seconds are of.

    Returns:
        Seconds of each pass.
    """
    seconds: dict[Key, list[float]] = {key: [] for key in runs}
    for index in range(WARM_UP + repeats):
        for key, run in runs.items():
            passed = seconds_of(run, device, clock=clock)
            if index >= WARM_UP:
                seconds[key].append(passed)
    return seconds


def seconds_of(
    run: Callable[[], object],
    device: torch.device | None = None,
    passes: int = 1,
    clock: Clock = "wall",
) -> float:
    """Seconds of a pass.

    Args:
        run: Makes one pass.
        device: Waited for before and after; default None, the CPU.
        passes: Started one after the other and waited for once; the mean is returned.
        clock: What the seconds are of.
    """
    synchronize(device)
    start = _now(clock)
    for _ in range(passes):
        run()
    synchronize(device)
    return (_now(clock) - start) / passes


def _now(clock: Clock) -> float:
    return time.process_time() if clock == "cpu" else time.perf_counter()


def synchronize(device: torch.device | None) -> None:
    """Wait until a GPU has finished its work; a CPU always has."""
    if device is None or device.type == "cpu":
        return
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
