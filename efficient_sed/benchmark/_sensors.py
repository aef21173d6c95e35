"""Readings of the machine while speed is measured: clocks, memory; and the recorder of energy.

A reading that fails, for whatever reason, is None, and the reason is kept: no measurement is lost for it.
"""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from efficient_sed.benchmark.energy.recorder import EnergyRecorder
from efficient_sed.benchmark.memory import peak_memory_mb
from efficient_sed.machine.cores import available_cores
from efficient_sed.machine.environment import CPU_INFO, one_line
from efficient_sed.machine.nvml import open_nvml

GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


class Sensors:
    """Readings of the machine around a device.

    Attributes:
        missing: Why a reading is None, by its name.
        energy: What the device uses.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.missing: dict[str, str] = {}
        self.energy = EnergyRecorder.of_device(device)

    def read(self, name: str, get: Callable[[], Any]) -> Any:
        """What `get` returns; None if it raises, or returns a number that is negative or not finite."""
        try:
            value = get()
            if isinstance(value, float | int) and not (math.isfinite(value) and value >= 0):
                raise ValueError(f"the reading was {value}")
        except Exception as error:  # a driver's bindings raise anything
            self.missing[name] = one_line(error)
            return None
        self.missing.pop(name, None)  # of an earlier try
        return value

    def conditions(self) -> dict[str, Any]:
        """What else a speed depends on."""
        return {name: self.read(name, get) for name, get in self._conditions().items()}

    def _conditions(self) -> dict[str, Callable[[], Any]]:
        if self.device.type == "cuda":
            return {
                "cuda": lambda: torch.version.cuda,
                "cudnn": torch.backends.cudnn.version,
                "driver": lambda: str(open_nvml(self.device)[0].nvmlSystemGetDriverVersion()),
                "sm_mhz": lambda: _clock_mhz(self.device, "NVML_CLOCK_SM"),
                "memory_mhz": lambda: _clock_mhz(self.device, "NVML_CLOCK_MEM"),
            }
        if self.device.type == "mps":
            return {"macos": lambda: platform.mac_ver()[0]}
        return {
            "threads": torch.get_num_threads,
            "cores": available_cores,
            "mhz": _cpu_mhz,
            "governor": lambda: GOVERNOR.read_text(encoding="utf-8").strip(),
            "load_1min": lambda: round(os.getloadavg()[0], 2),
        }

    def allocated_mb(self) -> float:
        """What lies on a GPU now; 0 on a CPU, where the process is looked at as a whole."""
        readers = {"cuda": lambda: torch.cuda.memory_allocated(self.device), "mps": torch.mps.current_allocated_memory}
        num_bytes = self.read("peak_memory_mb", readers[self.device.type]) if self.device.type in readers else 0
        return (num_bytes or 0) / 2**20

    def peak_memory_mb(self, run: Callable[[], object], others_mb: float = 0.0) -> float | None:
        """The most memory that a pass takes.

        Args:
            run: Makes the pass.
            others_mb: What lies on a GPU without being of this pass.
        """
        peak: float | None = self.read("peak_memory_mb", lambda: round(peak_memory_mb(run, self.device) - others_mb, 1))
        return peak


def _cpu_mhz() -> float:
    lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    return max(float(line.split(":")[1]) for line in lines if line.startswith("cpu MHz"))


def _clock_mhz(device: torch.device, kind: str) -> int:
    nvml, handle = open_nvml(device)
    return int(nvml.nvmlDeviceGetClockInfo(handle, getattr(nvml, kind)))
