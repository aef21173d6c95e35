"""What a search draws from: choices and ranges of the keys of a run."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from efficient_sed.config.parse import GROUPS
from efficient_sed.errors import ConfigError, nearest
from efficient_sed.experiment.compose import DEFAULTS
from efficient_sed.experiment.expand import expand_models
from efficient_sed.experiment.keys import all_keys, key_of
from efficient_sed.experiment.overrides import alternatives

if TYPE_CHECKING:
    from optuna.trial import Trial

DEFAULT_SPACE = (
    "backbone=fmn01,fmn02,fmn04,fmn06,fmn10",
    "backbone.mel_bins=64,128",
    "backbone.hop_ms=10,20",
    "backbone.time_stride=2,4",
    "seq=none,gru,tf,hybrid",
    "seq.hidden=64,128,256",
    "train.lr_backbone=3e-4..1e-2",
    "train.lr_head=3e-4..1e-2",
)
SEARCHED = ("backbone", "seq", "classifier", "train")
"""Groups of options that a search may vary; the others decide what is scored."""
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})")
LOG_RATIO = 10
"""Between the ends of a range that is drawn from on a logarithmic scale."""


@dataclass(frozen=True)
class Dimension:
    """A key with its choices, or with the ends of its range."""

    key: str
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    is_whole: bool = False

    def draw(self, trial: Trial) -> str:
        """A value as it is typed; numbers of a range have three digits."""
        if self.choices:
            return str(trial.suggest_categorical(self.key, self.choices))
        is_log = self.low > 0 and self.high / self.low >= LOG_RATIO
        if self.is_whole:
            return str(trial.suggest_int(self.key, int(self.low), int(self.high), log=is_log))
        return f"{trial.suggest_float(self.key, self.low, self.high, log=is_log):.3g}"

    def __str__(self) -> str:
        return f"{self.key}={','.join(self.choices) or f'{self.low:g}..{self.high:g}'}"


@dataclass(frozen=True)
class Space:
    """What is drawn, and what all runs have in common."""

    dimensions: tuple[Dimension, ...]
    fixed: tuple[str, ...] = ()
    """Overrides such as data=synthetic."""

    def draw(self, trial: Trial) -> list[str]:
        """The overrides of a run."""
        return self.overrides({dimension.key: dimension.draw(trial) for dimension in self.dimensions})

    def overrides(self, values: Mapping[str, str]) -> list[str]:
        """The overrides of a run without keys that its backbone or head does not have, such as seq.hidden of seq=none.

        Args:
            values: By key.
        """
        drawn = [f"{key}={value}" for key, value in values.items()]
        chosen = _chosen([*self.fixed, *drawn])
        return [*self.fixed, *(override for override in drawn if _has(chosen, key_of(override)))]


def create_space(typed: Sequence[str], fixed: Sequence[str]) -> Space:
    """The default space, in which typed choices and ranges replace or join others.

    Args:
        typed: Such as "seq.hidden=32,64" or "train.lr_head=1e-4..1e-2".
        fixed: Overrides of all runs; a key of them is not searched.

    Raises:
        ConfigError: For an unknown key, one that cannot be searched or is fixed, or what is neither choices nor range.
    """
    fixed = expand_models(fixed)
    keys = {key_of(override) for override in fixed}
    own = {dimension.key: dimension for dimension in map(parse_dimension, typed)}
    for key, dimension in own.items():
        if key in keys:
            raise ConfigError(f"--space {dimension}: {key} is given for all runs, too; give one of the two")
    default = {dimension.key: dimension for dimension in map(parse_dimension, DEFAULT_SPACE)}
    dimensions = {key: dimension for key, dimension in (default | own).items() if key not in keys}
    kept = [dimension for dimension in dimensions.values() if _is_used(dimension.key, dimensions, fixed)]
    for key, dimension in own.items():
        if dimension not in kept:
            raise ConfigError(f"--space {dimension}: no backbone or head of this space has {key}")
    return Space(tuple(kept), tuple(fixed))


def parse_dimension(typed: str) -> Dimension:
    """A dimension from `key=a,b,c` or `key=low..high`.

    Raises:
        ConfigError: If it is neither, or the key is unknown or decides what is scored.
    """
    key, equals, value = typed.partition("=")
    if not equals or not value:
        raise ConfigError(f"--space {typed}: neither key=a,b,c nor key=low..high")
    searched = [name for name in all_keys() if name.split(".")[0] in SEARCHED]
    if key not in all_keys():
        raise ConfigError(f"--space {typed}: unknown key {key!r}; {nearest(key, searched)}")
    if key not in searched:
        raise ConfigError(f"--space {typed}: a search varies {', '.join(SEARCHED)} and their keys; give {key} for all")
    if (found := _RANGE.fullmatch(value)) is None:
        return Dimension(key, tuple(alternatives(typed)))
    low, high = float(found[1]), float(found[2])
    if not low < high:
        raise ConfigError(f"--space {typed}: the range ends below its start; give key=low..high")
    is_whole = all(part.lstrip("+-").isdecimal() for part in found.groups())
    return Dimension(key, (), low, high, is_whole)


def _chosen(overrides: Iterable[str]) -> dict[str, str]:
    """Names of backbone and head."""
    typed = {key_of(override): override.partition("=")[2] for override in overrides}
    return {group: typed.get(group, DEFAULTS[group]) for group in ("backbone", "seq")}


def _has(chosen: Mapping[str, str], key: str) -> bool:
    """Whether the chosen backbone or head has a key of its group; True for other keys and unknown names."""
    group, _, name = key.partition(".")
    if group not in chosen or not name or chosen[group] not in GROUPS[group].names():
        return True
    return name in {item.name for item in dataclasses.fields(GROUPS[group].get(chosen[group]))}


def _is_used(key: str, dimensions: Mapping[str, Dimension], fixed: Sequence[str]) -> bool:
    """Whether any backbone or head of the space has a key."""
    group = key.partition(".")[0]
    names = dimensions[group].choices if group in dimensions else (_chosen(fixed).get(group, ""),)
    return any(_has({group: name}, key) for name in names) if group in DEFAULTS else True
