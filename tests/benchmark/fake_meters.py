"""A make-believe /sys/class/powercap, and a make-believe NVML."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

MOST_UJ = 262_143_328_850  # of a package of Intel's servers


class Powercap:
    """Zones as Linux shows them, with links from one folder; `use` adds joules to one."""

    def __init__(self, folder: Path, zones: dict[str, str]) -> None:
        self.folder = folder
        for zone, name in zones.items():
            (folder / zone).mkdir(parents=True)
            self.write(zone, "name", name)
            self.write(zone, "max_energy_range_uj", str(MOST_UJ))
            self.write(zone, "energy_uj", "5")

    def write(self, zone: str, file: str, text: str) -> None:
        (self.folder / zone / file).write_text(f"{text}\n")

    def use(self, zone: str, joules: float) -> None:
        before = int((self.folder / zone / "energy_uj").read_text())
        self.write(zone, "energy_uj", str((before + round(joules * 1e6)) % MOST_UJ))


class NotSupportedError(Exception):
    """As pynvml.NVMLError_NotSupported."""


def fake_nvml(millijoules: Sequence[float] | None = None, **changes: Any) -> SimpleNamespace:
    """A library whose counter takes these values, by default 1.5 J more at each reading; `changes` replace functions.

    Handles are the GPUs' UUIDs.
    """
    used = iter(millijoules) if millijoules is not None else itertools.count(0, 1500)
    working = {
        "NVML_CLOCK_SM": 1,
        "NVML_CLOCK_MEM": 2,
        "NVMLError_NotSupported": NotSupportedError,
        "nvmlInit": lambda: None,
        "nvmlSystemGetDriverVersion": lambda: "580.1",
        "nvmlDeviceGetHandleByUUID": lambda uuid: uuid,
        "nvmlDeviceGetTotalEnergyConsumption": lambda _: next(used),
        "nvmlDeviceGetClockInfo": lambda _, kind: 1000 * kind,
    }
    return SimpleNamespace(**working | changes)
