"""RAPL: counters of energy in processors of Intel and AMD, as Linux shows them.

https://docs.kernel.org/power/powercap/powercap.html. All packages are summed, and DRAM where it is counted apart.
Left out are cores and the GPU inside of a package, which are counted in it; "psys", which holds packages again and what
the maker chose; and "intel-rapl-mmio", another way to the same counters.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from efficient_sed.benchmark.energy.contract import Meter, NoMeterError, Part
from efficient_sed.registry import METERS

if TYPE_CHECKING:
    import torch

POWERCAP = Path("/sys/class/powercap")
MICRO = 1e-6


@METERS.register("rapl")
class Rapl(Meter):
    """Sums up the counters, each of which begins anew at a maximum: at 100 W after some 40 minutes.

    Raises:
        NoMeterError: If there are none, or only root may read them.
    """

    part: ClassVar[Part] = "CPU"
    rank = 10

    def __init__(self, gpus: Sequence[torch.device] = ()) -> None:
        names = {zone: (zone / "name").read_text(encoding="ascii").strip() for zone in POWERCAP.glob("intel-rapl:*")}
        zones = sorted(zone for zone, name in names.items() if name.startswith("package") or name == "dram")
        if not zones:
            raise NoMeterError(
                f"{POWERCAP}/intel-rapl:* has no processor package: a virtual machine, no Linux, or a processor "
                "that does not count its energy"
            )
        num_packages = sum(names[zone] != "dram" for zone in zones)
        dram = " and DRAM" if num_packages < len(zones) else ""
        self.method = f"RAPL, {num_packages} package{'s' if num_packages > 1 else ''}{dram}"
        self._most = {zone: self._number(zone / "max_energy_range_uj") for zone in zones}
        self._last = {zone: self._number(zone / "energy_uj") for zone in zones}
        self._used = 0

    def read(self) -> float:
        """Joules since it was opened."""
        for zone, last in self._last.items():
            now = self._number(zone / "energy_uj")
            self._used += now - last if now >= last else now - last + self._most[zone]
            self._last[zone] = now
        return self._used * MICRO

    @staticmethod
    def _number(path: Path) -> int:
        try:
            return int(path.read_text(encoding="ascii"))
        except PermissionError as error:
            advice = f"sudo chmod a+r {POWERCAP}/intel-rapl:*/*energy*_uj, which lasts until the next start"
            raise NoMeterError(f"{path} is readable by root alone; to measure: {advice}") from error
