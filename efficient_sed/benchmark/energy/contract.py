"""What a meter of energy answers.

A new meter is a class under `@METERS.register("name")` in a file of this folder. What is counted is all that a part of
the machine uses while it is read: its idle power and that of other programs included, since no counter tells them
apart. Nothing is taken off, so that numbers of one machine compare if it had nothing else to do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from efficient_sed.registry import METERS

if TYPE_CHECKING:  # boards that measure exported models do without PyTorch
    import torch

Part = Literal["CPU", "GPU"]


class NoMeterError(Exception):
    """A meter cannot be read on this machine; the message says why, and what to do."""


class Meter(ABC):
    """A counter of the joules that a part of the machine uses.

    Args:
        gpus: Those that are measured; meters of a CPU measure the whole machine.

    Raises:
        NoMeterError: If there is nothing that it could read.
        Exception: Whatever a driver's library raises.
    """

    name: ClassVar[str]
    """Set by the registry."""
    part: ClassVar[Part]
    rank: ClassVar[int] = 100
    """Of several meters of a part the lowest that can be read is taken."""
    method: str
    """What is read, as results state it, such as "RAPL, 2 packages and DRAM"."""
    longest_gap_s: float = 60.0
    """Readings that are further apart may miss some energy."""

    @abstractmethod
    def __init__(self, gpus: Sequence[torch.device] = ()) -> None: ...

    @abstractmethod
    def read(self) -> float:
        """Joules since some moment that stays the same."""


def open_meter(part: Part, gpus: Sequence[torch.device] = ()) -> Meter:
    """The first meter of a part that can be read.

    Raises:
        NoMeterError: If none can be; the message has each one's reason.
    """
    entries = sorted(map(METERS.get, METERS.names()), key=lambda meter: (meter.rank, meter.name))
    reasons = []
    for entry in entries:
        if entry.part == part:
            try:
                meter: Meter = entry(gpus)
                meter.read()
                return meter
            except Exception as error:  # a driver's bindings raise anything
                reasons.append(reason_of(error))
    raise NoMeterError("; ".join(reasons))


def reason_of(error: Exception) -> str:
    """Why a reading is missing, in one line."""
    text = " ".join(str(error).split())
    return text if text and isinstance(error, NoMeterError) else f"{type(error).__name__}: {text}".removesuffix(": ")
