"""Runs on this machine, one or several at a time."""

from __future__ import annotations

import os
import subprocess
import time
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from efficient_sed.errors import require
from efficient_sed.registry import LAUNCHERS
from efficient_sed.sweep.run_process import POLL_S, RunProcess, exit_words, wait_for

if TYPE_CHECKING:
    from efficient_sed.sweep.grid import GridPoint

DEVICES_KEY = "CUDA_VISIBLE_DEVICES"


@LAUNCHERS.register("local")
@dataclass(frozen=True)
class LocalLauncher:
    """Processes of this machine; they end with the sweep."""

    package: ClassVar[str | None] = None

    jobs: int = 1
    """Runs at a time. One has every GPU to itself; several get one each, in turn, and share them where they are
    more."""

    def __post_init__(self) -> None:
        require(self.jobs >= 1, "launcher.jobs", self.jobs, "1 or more")

    def run(self, points: Sequence[GridPoint]) -> Generator[list[tuple[GridPoint, str]]]:
        """Carry out the runs; see `sweep.launcher.Launcher`."""
        waiting = deque(points)
        running: dict[int, tuple[GridPoint, subprocess.Popen[bytes]]] = {}
        gpus = visible_gpus() if self.jobs > 1 else []
        try:
            while waiting or running:
                for slot in range(self.jobs):
                    if waiting and slot not in running:
                        point = waiting.popleft()
                        environment = {DEVICES_KEY: gpus[slot % len(gpus)]} if gpus else None
                        running[slot] = point, RunProcess.of(point).start(environment)
                yield []
                time.sleep(POLL_S)
                ended = [slot for slot, (_, process) in running.items() if process.poll() is not None]
                yield [
                    (point, exit_words(wait_for(process))) for point, process in (running.pop(slot) for slot in ended)
                ]
        finally:
            for _, process in running.values():
                process.terminate()
            for _, process in running.values():
                wait_for(process)


def visible_gpus() -> list[str]:
    """What CUDA_VISIBLE_DEVICES calls the GPUs that this process may use."""
    import torch

    given = os.environ.get(DEVICES_KEY)
    names = given.split(",") if given else [str(index) for index in range(torch.cuda.device_count())]
    return names[: torch.cuda.device_count()]
