"""Runs as tasks of a Ray cluster. All nodes must see the same files under the same paths."""

from __future__ import annotations

import logging
import socket
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from efficient_sed.errors import ConfigError, require
from efficient_sed.registry import LAUNCHERS
from efficient_sed.sweep.run_process import POLL_S, RunProcess, carry_out, exit_words

if TYPE_CHECKING:
    from efficient_sed.sweep.grid import GridPoint

logger = logging.getLogger(__name__)
CONNECT_S = 10.0


@LAUNCHERS.register("ray")
@dataclass(frozen=True)
class RayLauncher:
    """Ray tasks: a run whose worker or node is lost starts again elsewhere and goes on from what it saved."""

    package: ClassVar[str | None] = "ray"

    address: str | None = None
    """Of the cluster, such as 10.0.0.1:6379, or auto; none: RAY_ADDRESS, or else this machine alone."""
    gpus: float = 0.0
    """For each run; a share such as 0.5 lets two have one."""
    cpus: int = 4
    """For each run: one that computes, and data.num_workers that decode."""
    retries: int = 3
    """How often a run that was lost starts again."""

    def __post_init__(self) -> None:
        is_share = 0 <= self.gpus < 1 or (self.gpus > 0 and self.gpus == int(self.gpus))
        require(is_share, "launcher.gpus", f"{self.gpus:g}", "a share from 0 to 1, or a whole number")
        require(self.cpus >= 1, "launcher.cpus", self.cpus, "1 or more")
        require(self.retries >= 0, "launcher.retries", self.retries, "0 or more")

    def run(self, points: Sequence[GridPoint]) -> Generator[list[tuple[GridPoint, str]]]:
        """Carry out the runs; see `sweep.launcher.Launcher`."""
        if not points:
            return
        import ray

        try:
            if self.address is not None:
                check_answers(self.address)
            ray.init(address=self.address, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, ValueError, RuntimeError) as error:
            raise ConfigError(
                f"launcher.address={self.address}: no Ray cluster answers ({str(error).splitlines()[0]})"
            ) from error
        there = ray.cluster_resources()
        for key, wanted in (("CPU", self.cpus), ("GPU", self.gpus)):
            if wanted > there.get(key, 0):
                logger.warning(
                    "the Ray cluster has %g %s and each run wants %g: nothing starts until it has grown",
                    there.get(key, 0),
                    key,
                    wanted,
                )
        task = ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=self.retries)(carry_out)
        running = {task.remote(RunProcess.of(point)): point for point in points}
        try:
            while running:
                ended, _ = ray.wait(list(running), num_returns=len(running), timeout=POLL_S)
                yield [(running.pop(reference), how_it_ended(reference)) for reference in ended]
        finally:
            for reference in running:
                ray.cancel(reference, force=True)
            ray.shutdown()


def check_answers(address: str) -> None:
    """Raise an OSError now if no server answers at HOST:PORT; Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), CONNECT_S).close()


def how_it_ended(reference: Any) -> str:
    """The exit status of a task's run, or why Ray could not tell."""
    import ray

    try:
        return exit_words(ray.get(reference))
    except ray.exceptions.RayError as error:
        return f"{type(error).__name__}: {str(error).strip().splitlines()[-1]}"
