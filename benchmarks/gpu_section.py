"""Tables of `gpu.py`: rows are printed as they are measured, for as long as there is time."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import functools
import gc
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import torch

from efficient_sed.benchmark._sensors import Sensors
from efficient_sed.benchmark.speed import Times
from efficient_sed.machine.environment import device_name, git_commit, one_line

BLOCKS, BLOCK_S = 3, 0.3  # blocks of passes in which speed and energy are measured, and their seconds
MAX_ERROR = 160  # characters
SPEEDS = (
    "model", "precision", "batch", "mode", "clips/s", "ratio to plain", "ms a batch", "J/clip", "of bandwidth",
    "of matrix rate", "error", "RTX 3090, published",
)  # fmt: skip
STEPS = ("step", "clips/s", "ratio to plain", "ms a step", "plain ms", "J/clip")
COLUMNS = {
    "chip": ("what", "rate", "unit"),
    "inference": SPEEDS,
    "training": STEPS,
    "loader": ("source", "workers", "clips/s", "ratio to the fastest step"),
    "compiled": SPEEDS,
    "compiled training": STEPS,
}
ENDS = {  # shares of the time; what may take minutes to compile comes last
    "chip": 0.05, "inference": 0.54, "training": 0.66, "loader": 0.74, "compiled": 0.9, "compiled training": 1.0,
}  # fmt: skip


@dataclasses.dataclass
class Machine:
    """The device, and what it reached."""

    device: torch.device
    sensors: Sensors
    bytes_per_s: float | None = None
    """Read and written by a large copy."""
    macs_per_s: dict[str, float] = dataclasses.field(default_factory=dict)
    """Of a large product, by precision."""
    training_clips_per_s: float | None = None
    """Of the fastest training step."""

    @functools.cached_property
    def about(self) -> dict[str, str]:
        """What every row of a CSV begins with."""
        return {"device": device_name(self.device), "torch": torch.__version__, "commit": git_commit()}


@contextlib.contextmanager
def stopped_at(stop: float) -> Iterator[None]:
    """Raise a TimeoutError in what goes on at a time of `time.perf_counter`, such as a compilation."""

    def expire(*_: object) -> NoReturn:
        raise TimeoutError("the time of all sections was over")

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, max(1e-3, stop - time.perf_counter()))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Section:
    """A table in Markdown, and the rows of a CSV.

    Args:
        name: A key of `COLUMNS`.
        machine: What is measured.
        end: Time of `time.perf_counter` after which no row is begun.
        stop: Time at which a row is broken off.
        path: CSV that rows are appended to; None for none.
    """

    def __init__(self, name: str, machine: Machine, end: float, stop: float, path: Path | None) -> None:
        self.name, self.machine, self.end, self.stop, self.path = name, machine, end, stop, path
        self._longest = 0.0
        self._left_out: list[str] = []
        columns = COLUMNS[name]
        print(f"\n## {name.capitalize()}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)

    def row(self, *values: str) -> None:
        """Print a row, and append it to the CSV."""
        values = tuple(value.replace("|", "/") for value in values)
        print(f"| {' | '.join(values)} |", flush=True)
        if self.path is None:
            return
        about = self.machine.about | {"section": self.name}
        is_new = not self.path.exists()
        with self.path.open("a", newline="", encoding="utf-8") as file:
            columns = dict.fromkeys(column for columns in COLUMNS.values() for column in columns)
            table = csv.DictWriter(file, [*about, *columns], restval="")
            if is_new:
                table.writeheader()
            table.writerow(about | dict(zip(COLUMNS[self.name], values, strict=False)))

    def failed(self, error: Exception, *names: str) -> None:
        """A row that says why there is no other; makes room for the next one."""
        self.row(*names, f"failed: {one_line(error)[:MAX_ERROR]}")
        error.__traceback__ = None  # its frames hold the tensors of what failed
        gc.collect()
        with contextlib.suppress(Exception):  # after a fault of the device every call fails
            torch.cuda.empty_cache()

    def measure(self, measure: Callable[[], None], *names: str) -> None:
        """Call what gives one or more rows, if there is as much time as the longest so far took."""
        begun = time.perf_counter()
        if begun + self._longest > self.end:
            self._left_out.append(" ".join(names))
            return
        try:
            with stopped_at(self.stop):
                measure()
        except Exception as error:  # one row must not cost the others
            self.failed(error, *names)
        self._longest = max(self._longest, time.perf_counter() - begun)

    def close(self) -> None:
        """Say what is missing."""
        if self._left_out:
            print(f"\nLeft out, since its time was over: {'; '.join(self._left_out)}.", flush=True)


def ratio(plain: Times | None, ours: Times) -> str:
    """How many times as fast, median over the blocks."""
    if plain is None:
        return "-"
    return f"{statistics.median(a / b for a, b in zip(plain.paces, ours.paces, strict=True)):.2f}"


def joules(times: Times, batch: int) -> str:
    """Energy of a clip."""
    return "-" if times.joules_per_pass is None else f"{times.joules_per_pass / batch:.2g}"


def share(rate: float, peak: float | None) -> str:
    """Percent of what was measured."""
    return "-" if peak is None else f"{100 * rate / peak:.1f} %"
