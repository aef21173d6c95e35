"""Where the runs of a grid are carried out, by the name that `sweep --launcher` takes."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import ClassVar, Protocol

from efficient_sed.config.parse import from_dict
from efficient_sed.errors import ConfigError, nearest, require_package
from efficient_sed.experiment.compose import key_of, take_group
from efficient_sed.sweep.grid import GridPoint
from efficient_sed.sweep.launchers.local import LocalLauncher
from efficient_sed.sweep.launchers.ray import RayLauncher
from efficient_sed.sweep.launchers.slurm import SlurmLauncher

LAUNCHER_KEY = "launcher"


class Launcher(Protocol):
    """A frozen dataclass: its fields are the keys `launcher.…`."""

    package: ClassVar[str | None]
    """What it needs installed."""

    def run(self, points: Sequence[GridPoint]) -> Generator[list[tuple[GridPoint, str]]]:
        """Start a `RunProcess` for each point, as many at once as there is room for.

        Yields:
            About twice a second the points whose run has ended since, with how it ended: "exit status 1". Whether a run has finished is not
            the launcher's to say: its result tells. Closing the generator stops what still runs.
        """
        ...


LAUNCHERS: dict[str, type[Launcher]] = {"local": LocalLauncher, "ray": RayLauncher, "slurm": SlurmLauncher}


def create_launcher(name: str, overrides: Sequence[str]) -> tuple[Launcher, list[str]]:
    """The launcher of that name, set up by what overrides say of it, such as `launcher.jobs=4`; and the other overrides.

    Raises:
        ConfigError: For an unknown launcher, or a key or value that it does not take.
        MissingDependencyError: If its package is not installed.
    """
    if name not in LAUNCHERS:
        raise ConfigError(f"unknown launcher {name!r}; {nearest(name, LAUNCHERS)}")
    values, rest = take_group(overrides, LAUNCHER_KEY, LAUNCHERS[name])
    for override in rest:
        if key_of(override) == LAUNCHER_KEY:
            raise ConfigError(f"{override}: the launcher is an option: --launcher {override.split('=', 1)[-1]}")
    try:
        launcher = from_dict(LAUNCHERS[name], values, LAUNCHER_KEY)
    except ConfigError as error:
        raise ConfigError(f"{error} (with --launcher {name})") from error
    if launcher.package is not None:
        require_package(f"--launcher {name}", launcher.package, name)
    return launcher, rest
