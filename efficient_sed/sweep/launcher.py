"""What carries out the runs of a grid: the contract of `sweep --launcher NAME`, and how one is set up.

A launcher is one file in `sweep/launchers/`, named as the launcher, with a frozen dataclass:

    @LAUNCHERS.register("name")
    @dataclass(frozen=True)
    class NameLauncher:
        package: ClassVar[str | None] = None  # what has to be installed: the extra [name] of this project
        jobs: int = 1  # its fields are the keys launcher.jobs=4

        def run(self, points): ...
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import ClassVar, Protocol

from efficient_sed.config.parse import from_dict
from efficient_sed.errors import ConfigError, require_package
from efficient_sed.experiment.keys import key_of
from efficient_sed.experiment.overrides import take_group
from efficient_sed.registry import LAUNCHERS
from efficient_sed.sweep.grid import GridPoint

LAUNCHER_KEY = "launcher"


class Launcher(Protocol):
    """Carries out runs; a frozen dataclass whose fields are the keys `launcher.…`."""

    name: ClassVar[str]
    package: ClassVar[str | None]
    """What it needs installed; None for nothing."""

    def run(self, points: Sequence[GridPoint]) -> Generator[list[tuple[GridPoint, str]]]:
        """Start a `RunProcess` for each point, as many at once as there is room for.

        Whether a run has finished is read from its result and not from the launcher. Closing the generator stops
        what still runs.

        Yields:
            About twice a second the points whose run has ended since, each with how it ended: "exit status 1".
        """
        ...


def create_launcher(name: str, overrides: Sequence[str]) -> tuple[Launcher, list[str]]:
    """The launcher of a name, set up by overrides such as `launcher.jobs=4`; and the other overrides.

    Raises:
        ConfigError: For an unknown launcher, or a key or value that it does not take.
        MissingDependencyError: If its package is not installed.
    """
    cls = LAUNCHERS.get(name)
    values, rest = take_group(overrides, LAUNCHER_KEY, cls)
    for override in rest:
        if key_of(override) == LAUNCHER_KEY:
            raise ConfigError(f"{override}: the launcher is an option: --launcher {override.split('=', 1)[-1]}")
    try:
        launcher = from_dict(cls, values, LAUNCHER_KEY)
    except ConfigError as error:
        raise ConfigError(f"{error} (with --launcher {name})") from error
    if launcher.package is not None:
        require_package(f"--launcher {name}", launcher.package, name)
    return launcher, rest
