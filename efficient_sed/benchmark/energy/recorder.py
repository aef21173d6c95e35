"""Energy of parts of the machine while something runs."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from efficient_sed.benchmark.energy.contract import Meter, NoMeterError, Part, open_meter, reason_of

if TYPE_CHECKING:
    import torch

J_PER_KWH = 3.6e6


class EnergyRecorder:
    """Reads a meter for each part, often enough that none misses anything, until the context ends.

    What cannot be read is None, and why is kept: nothing that is measured beside it is lost.

    Args:
        parts: Of the machine.
        gpus: Those that are measured.

    Attributes:
        missing: Why a part has no number.
    """

    def __init__(self, parts: Sequence[Part], gpus: Sequence[torch.device] = ()) -> None:
        self.parts = tuple(parts)
        self.missing: dict[str, str] = {}
        self._meters: dict[str, Meter] = {}
        self._start: dict[str, float] = {}
        self._lock, self._ended = threading.Lock(), threading.Event()
        for part in parts:
            try:
                self._meters[part] = open_meter(part, gpus)
            except NoMeterError as error:
                self.missing[part] = str(error)
        self._start = self._read()

    @classmethod
    def of_device(cls, device: torch.device | None = None) -> Self:
        """What a forward pass is measured by: a GPU's alone, or that of the CPU; default None, the CPU."""
        return cls(["CPU"]) if device is None or device.type == "cpu" else cls(["GPU"], [device])

    @classmethod
    def of_machine(cls, gpus: Sequence[torch.device] = ()) -> Self:
        """What a training is measured by: the CPU and the GPUs that take part."""
        return cls(["CPU", "GPU"] if gpus else ["CPU"], gpus)

    @property
    def method(self) -> str | None:
        """What is read, None for nothing."""
        return " + ".join(meter.method for meter in self._meters.values()) or None

    @property
    def reason(self) -> str | None:
        """Why there is no number of all parts together; None where there is one."""
        return "; ".join(f"{part}: {why}" for part, why in self.missing.items()) or None

    def joules_by_part(self) -> dict[str, float | None]:
        """Joules of each part since the recorder was made."""
        now = self._read()
        return {part: now[part] - self._start[part] if part in now else None for part in self.parts}

    def joules(self) -> float | None:
        """Joules of all parts together since the recorder was made; None if one cannot be read."""
        return total(self.joules_by_part())

    def facts(self, joules: Mapping[str, float | None], unknown: str = "") -> dict[str, Any]:
        """What a result says of energy: null where a part could not be measured, with the reason.

        Args:
            joules: Of each part.
            unknown: Why a part may be None that can be read.
        """
        return {
            "energy_kwh": _kwh(total(joules)),
            "energy_kwh_by_part": {part: _kwh(used) for part, used in joules.items()},
            "energy_method": self.method,
            "energy_missing": {part: self.missing.get(part, unknown) for part, used in joules.items() if used is None},
        }

    def _read(self) -> dict[str, float]:
        with self._lock:
            return {part: value for part in tuple(self._meters) if (value := self._read_one(part)) is not None}

    def _read_one(self, part: str) -> float | None:
        try:
            value = self._meters[part].read()
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"the reading was {value}")
        except Exception as error:  # a driver's bindings raise anything
            self.missing[part] = reason_of(error)
            del self._meters[part]
            return None
        return value

    def __enter__(self) -> Self:
        self._ended = threading.Event()
        if self._meters:
            threading.Thread(target=self._keep_reading, args=(self._ended,), name="energy", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def _keep_reading(self, ended: threading.Event) -> None:
        gap_s = min(meter.longest_gap_s for meter in self._meters.values())
        while self._meters and not ended.wait(gap_s):
            self._read()


def total(joules: Mapping[str, float | None]) -> float | None:
    """Sum over parts; None if one is not known."""
    known = [value for value in joules.values() if value is not None]
    return sum(known) if len(known) == len(joules) else None


def _kwh(joules: float | None) -> float | None:
    return None if joules is None else joules / J_PER_KWH
