"""What the model of a run costs, known before it is trained, and which of a space's models a budget allows."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import yaml

from efficient_sed.benchmark.known_backbone import KnownBackbone, count_backbone, count_head
from efficient_sed.config.model import BackboneConfig, Pooling, SequenceHeadConfig
from efficient_sed.config.parse import GROUPS, from_dict
from efficient_sed.config.run import RunConfig
from efficient_sed.config.values import to_dict
from efficient_sed.errors import ConfigError
from efficient_sed.experiment.compose import DEFAULTS
from efficient_sed.experiment.keys import key_of
from efficient_sed.search.space import Dimension, Space

ARCHITECTURE = ("backbone", "seq", "classifier")
"""Groups of options that decide what a model costs."""


class Cost(NamedTuple):
    """Of a model."""

    macs: int
    """Of a clip of 10 s."""
    params: int

    def __str__(self) -> str:
        return f"{self.macs:,} MACs and {self.params:,} parameters"


class Budget(NamedTuple):
    """What a model may cost; None for no limit."""

    max_macs: int | None = None
    max_params: int | None = None

    def allows(self, cost: Cost) -> bool:
        """Whether a cost is within it."""
        return all(limit is None or value <= limit for value, limit in zip(cost, self, strict=True))

    def __str__(self) -> str:
        options = zip(("--max-macs", "--max-params"), self, strict=True)
        return " ".join(f"{option} {limit}" for option, limit in options if limit is not None)


class CostCounter:
    """Counts by shapes, without drawing weights; each backbone once, and each head once for features of one shape.

    Args:
        num_classes: Of the data.
        preset: Options of backbone, head and classifier that all models have unless overrides say otherwise, by key.
    """

    def __init__(self, num_classes: int, preset: Mapping[str, Any] | None = None) -> None:
        self._num_classes, self._preset = num_classes, preset or {}
        self._backbones: dict[BackboneConfig, KnownBackbone] = {}
        self._heads: dict[Any, tuple[int, int]] = {}

    def count(self, overrides: Sequence[str]) -> Cost:
        """The cost of the model that overrides describe.

        Raises:
            ConfigError: If a part is unknown, or a value is not allowed.
        """
        backbone, seq, pooling = self._parts(overrides)
        if backbone not in self._backbones:
            self._backbones[backbone] = count_backbone(backbone)
        known = self._backbones[backbone]
        key = (seq, pooling, known.shape, backbone if seq.name == "none" else backbone.has_clip_layer)
        if key not in self._heads:
            self._heads[key] = count_head(known, backbone, seq, self._num_classes, pooling)
        params, macs = self._heads[key]
        return Cost(known.macs + macs, known.num_params + params)

    def _parts(self, overrides: Sequence[str]) -> tuple[BackboneConfig, SequenceHeadConfig, Pooling]:
        """Backbone, head and pooling of a run, without composing all of it, which takes a tenth of a second."""
        typed = {key_of(override): override.partition("=")[2] for override in overrides}
        options = {**self._preset, **{key: yaml.safe_load(value) for key, value in typed.items() if "." in key}}
        parts: dict[str, Any] = {}
        for group in ("backbone", "seq"):
            entry = GROUPS[group].get(typed.get(group, DEFAULTS[group]))
            values = {key.partition(".")[2]: value for key, value in options.items() if key.startswith(f"{group}.")}
            values.pop("init", None)  # initial weights cost nothing
            parts[group] = from_dict(entry, values, group)
        pooling: Pooling = options.get("classifier.pooling", "mean")
        return parts["backbone"], parts["seq"], pooling


def preset_options(config: RunConfig, overrides: Sequence[str]) -> dict[str, Any]:
    """Options by key that decide a cost and that a preset such as experiment=NAME set, not the overrides themselves.

    Args:
        config: What the overrides make.
        overrides: With backbone and head.
    """
    typed = {key_of(override) for override in overrides}
    parts = {group: getattr(config, group) for group in ARCHITECTURE}
    defaults = {group: to_dict(type(part)()) for group, part in parts.items()}
    values = {group: to_dict(part) for group, part in parts.items()}
    return {
        f"{group}.{key}": value
        for group in ARCHITECTURE
        for key, value in values[group].items()
        if value != defaults[group][key] and f"{group}.{key}" not in typed
    }


def within_budget(space: Space, budget: Budget, counter: CostCounter) -> Space:
    """The space without choices that every model with them is over the budget for.

    Raises:
        ConfigError: If no model is within the budget; the message names the cheapest. Or if none is allowed.
    """
    if not str(budget):
        return space
    counted, refused = [], None
    for values in _architectures(space):
        try:
            counted.append((counter.count(space.overrides(values)), values))
        except ConfigError as error:  # values that do not go together
            refused = error
    if not counted and refused is not None:
        raise refused
    allowed = [values for cost, values in counted if budget.allows(cost)]
    if not allowed:
        cost, values = min(counted, key=lambda pair: pair[0])
        shown = " ".join(f"{key}={value}" for key, value in values.items())
        raise ConfigError(f"{budget}: no model of the space meets that; the cheapest, {shown}, has {cost}")
    return dataclasses.replace(space, dimensions=tuple(_trimmed(d, allowed) for d in space.dimensions))


def _architectures(space: Space) -> Iterator[dict[str, str]]:
    """All combinations of choices that decide a cost, and of the ends of ranges, one of which is the cheapest."""
    deciding = [dimension for dimension in space.dimensions if dimension.key.split(".")[0] in ARCHITECTURE]
    values = [dimension.choices or (f"{dimension.low:g}", f"{dimension.high:g}") for dimension in deciding]
    for combination in itertools.product(*values):
        yield dict(zip((dimension.key for dimension in deciding), combination, strict=True))


def _trimmed(dimension: Dimension, allowed: Sequence[Mapping[str, str]]) -> Dimension:
    if not dimension.choices or dimension.key not in allowed[0]:
        return dimension
    used = {values[dimension.key] for values in allowed}
    return dataclasses.replace(dimension, choices=tuple(choice for choice in dimension.choices if choice in used))
