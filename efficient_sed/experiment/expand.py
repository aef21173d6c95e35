"""Short forms and comma lists of overrides -> the overrides of single runs."""

from __future__ import annotations

from collections.abc import Sequence

from efficient_sed.errors import ConfigError, nearest
from efficient_sed.experiment.keys import MODEL_KEY, SWEEP_KEY, key_of
from efficient_sed.experiment.overrides import MAX_POINTS, alternatives
from efficient_sed.experiment.presets import read_preset
from efficient_sed.files.packaged import presets, resource_folder


def expand_models(overrides: Sequence[str]) -> list[str]:
    """`model=NAME` as the backbone, head and size that the name stands for; later overrides may change them.

    Raises:
        ConfigError: If the name is not that of an architecture, or a part is chosen beside it.
    """
    from efficient_sed.models.names import model_overrides

    chosen = [override for override in overrides if key_of(override) in ("backbone", "seq")]
    expanded: list[str] = []
    for override in overrides:
        if key_of(override) != MODEL_KEY:
            expanded.append(override)
        elif chosen:
            raise ConfigError(
                f"{override} beside {chosen[0]}: the model's name says both its backbone and its head; give one of "
                "the two"
            )
        elif "=" not in override:
            raise ConfigError(f"{override!r} is not key=value")
        else:
            expanded += model_overrides(override.split("=", 1)[1])
    return expanded


def expand_preset_grid(overrides: Sequence[str]) -> list[str]:
    """`sweep=NAME` as the overrides of `configs/sweep/NAME.yaml`; a key that is typed replaces the file's.

    Raises:
        ConfigError: If there is no such grid.
    """
    typed = {key_of(override) for override in overrides}
    expanded: list[str] = []
    for override in overrides:
        if key_of(override) != SWEEP_KEY:
            expanded.append(override)
            continue
        name = override.partition("=")[2]
        if name not in presets("sweep"):
            raise ConfigError(f"unknown grid {override}; {nearest(name, presets('sweep'))}")
        path = resource_folder("configs") / "sweep" / f"{name}.yaml"
        lines = read_preset(path).get("grid")
        if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
            raise ConfigError(f"{path}: needs a list of key=value called grid")
        expanded += [line for line in lines if key_of(line) not in typed]
    return expanded


def expand_sweep(overrides: Sequence[str]) -> list[list[str]]:
    """The overrides of every point of a grid: comma lists are alternatives, in the order they are written.

    Raises:
        ConfigError: If an override cannot be parsed.
    """
    points: list[list[str]] = [[]]
    for override in overrides:
        values = alternatives(override)
        if len(points) * len(values) > MAX_POINTS:
            raise ConfigError(f"{override}: the grid has more than {MAX_POINTS:,} points")
        points = [[*point, f"{override.split('=', 1)[0]}={value}"] for point in points for value in values]
    return points
