"""NVML: the energy of NVIDIA's GPUs, by the driver's counter or, where a GPU has none, by its power over time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from efficient_sed.benchmark.energy.contract import Meter, NoMeterError, Part
from efficient_sed.machine.nvml import open_nvml
from efficient_sed.registry import METERS

if TYPE_CHECKING:
    import torch

MILLI = 1e-3
POWER_EVERY_S = 0.1  # drivers renew what they say of power every 20 to 100 ms


@METERS.register("nvml")
class Nvml(Meter):
    """Sums up the boards: chip, memory and regulators.

    Raises:
        NoMeterError: If a GPU is of another maker.
        MissingDependencyError: Without the package nvidia-ml-py.
    """

    part: ClassVar[Part] = "GPU"
    rank = 10

    def __init__(self, gpus: Sequence[torch.device] = ()) -> None:
        others = sorted({gpu.type for gpu in gpus if gpu.type != "cuda"})
        if others:
            raise NoMeterError(f"NVML reads GPUs of NVIDIA, and {', '.join(others)} is none")
        boards = "1 GPU" if len(gpus) == 1 else f"{len(gpus)} GPUs"
        readers = [_reader(*open_nvml(gpu)) for gpu in gpus]
        has_counter = not any(isinstance(reader, PowerOverTime) for reader in readers)
        self.method = f"NVML, {boards}" if has_counter else f"NVML, {boards}, power every {POWER_EVERY_S:g} s"
        if not has_counter:
            self.longest_gap_s = POWER_EVERY_S
        self._readers = readers

    def read(self) -> float:
        """Joules since the driver was loaded, or since the meter was opened."""
        return sum(reader() for reader in self._readers)


def _reader(nvml: Any, handle: Any) -> Callable[[], float]:
    try:
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except nvml.NVMLError_NotSupported:  # before Volta
        return PowerOverTime(lambda: nvml.nvmlDeviceGetPowerUsage(handle) * MILLI)
    return lambda: float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) * MILLI


class PowerOverTime:
    """Joules by watts that are read often: between two readings the mean of both.

    Args:
        watts: Reads the power.
    """

    def __init__(self, watts: Callable[[], float]) -> None:
        self._watts, self._joules = watts, 0.0
        self._last = watts(), time.monotonic()

    def __call__(self) -> float:
        """Joules since the first reading."""
        watts, now = self._watts(), time.monotonic()
        self._joules += (now - self._last[1]) * (watts + self._last[0]) / 2
        self._last = watts, now
        return self._joules
