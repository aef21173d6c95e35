"""How much memory a forward pass takes."""

from __future__ import annotations

from collections.abc import Callable

import torch

from efficient_sed.benchmark.clock import synchronize
from efficient_sed.machine.memory import process_peak_mb, reset_process_peak


def peak_memory_mb(run: Callable[[], object], device: torch.device) -> float:
    """The most memory during a forward pass, in MB (2**20 bytes).

    Args:
        run: Makes the pass.
        device: Of a GPU what PyTorch has allocated is measured, of a CPU the whole process.

    Raises:
        OSError: If the system does not report it.
    """
    synchronize(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        run()
        synchronize(device)
        return torch.cuda.max_memory_allocated(device) / 2**20
    if device.type == "mps":
        torch.mps.empty_cache()  # MPS reports no peak, but keeps what it once took
        run()
        synchronize(device)
        return torch.mps.driver_allocated_memory() / 2**20
    reset_process_peak()
    run()
    if (peak_mb := process_peak_mb()) is None:
        raise OSError("this system does not report it")
    return peak_mb


def memory_of(device: torch.device) -> str:
    """What `peak_memory_mb` measures on a device."""
    if device.type != "cpu":
        return "GPU allocations"
    return "whole process" if reset_process_peak() else "whole process since its start"
