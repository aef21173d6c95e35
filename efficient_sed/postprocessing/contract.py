"""What a post-processing method is: parameters that turn frame scores into scores whose runs are events.

A new method is one file in this folder with a frozen dataclass under `@POSTPROCESSING.register("name")`. Training,
`efficient-sed tune`, `detect`, streams and exported files then take it.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from efficient_sed.errors import ConfigError, nearest, require
from efficient_sed.registry import POSTPROCESSING

Value = float | tuple[float, ...]
"""A parameter: one number for all classes, or one a class in the order of the scores' columns."""


@dataclass(frozen=True)
class Method(ABC):
    """A method with its parameters.

    Every field is a `Value`, a number or a tuple of one a class. Events at a threshold t are the runs of frames in
    which `apply(scores)` is at least t, whatever the method.
    """

    name: ClassVar[str]
    is_bounded: ClassVar[bool] = True
    """Whether a score depends on nothing beyond `look_ahead_s` before and after it."""

    @abstractmethod
    def apply(self, scores: np.ndarray, hop_s: float) -> np.ndarray:
        """Scores to be compared with thresholds.

        Args:
            scores: Frame scores in [0, 1] without NaN, shape (frames, classes).
            hop_s: Seconds of a frame.

        Returns:
            An array of the same shape and type.
        """

    @abstractmethod
    def look_ahead_s(self, hop_s: float) -> float:
        """Seconds of sound that have to follow a frame before its score is final, the most over classes."""

    @classmethod
    @abstractmethod
    def grid(cls, hop_s: float) -> list[Self]:
        """Candidates that tuning chooses from, each with one value for all classes; the mildest first."""

    def select(self, columns: Sequence[int]) -> Self:
        """The parameters of some classes."""
        return dataclasses.replace(
            self,
            **{
                name: tuple(value[column] for column in columns)
                for name, value in self.values().items()
                if isinstance(value, tuple)
            },
        )

    def of_class(self, column: int) -> Self:
        """The parameters of one class, each one value."""
        own = {name: value[column] for name, value in self.values().items() if isinstance(value, tuple)}
        return dataclasses.replace(self, **own)

    def values(self) -> dict[str, Value]:
        """Parameters by name."""
        return {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}

    def require_each(self, name: str, holds: Callable[[float], bool], allowed: str) -> None:
        """Check a condition on a parameter, of every class.

        Raises:
            ConfigError: If it does not hold.
        """
        value = getattr(self, name)
        for each in value if isinstance(value, tuple) else (value,):
            is_number = isinstance(each, int | float) and not isinstance(each, bool) and not math.isnan(each)
            require(is_number and holds(each), f"{self.name}.{name}", each, allowed)

    def by_class(self, name: str, num_classes: int, dtype: type = np.float64) -> np.ndarray:
        """A parameter of every class, shape (classes,).

        Raises:
            ConfigError: If it has values for another number of classes.
        """
        value = getattr(self, name)
        num_values = len(value) if isinstance(value, tuple) else num_classes
        require(
            num_values == num_classes,
            f"{self.name}.{name}",
            f"{num_values} values",
            f"one for each of {num_classes} classes",
        )
        return np.broadcast_to(np.asarray(value, dtype), num_classes)


def join_classes(choices: Sequence[Method]) -> Method:
    """One method from the choice for each class; all are of one kind and have one value a parameter."""
    first = choices[0]
    if all(choice == first for choice in choices):
        return first
    fields = first.values()
    return dataclasses.replace(first, **{name: tuple(getattr(choice, name) for choice in choices) for name in fields})


@dataclass(frozen=True)
class Chain:
    """Methods one after the other; none leaves scores as they are."""

    steps: tuple[Method, ...] = ()

    def apply(self, scores: np.ndarray, hop_s: float) -> np.ndarray:
        """As `Method.apply`."""
        for step in self.steps:
            scores = step.apply(scores, hop_s)
        return scores

    def look_ahead_s(self, hop_s: float) -> float:
        """As `Method.look_ahead_s`, of all steps together."""
        return math.fsum(step.look_ahead_s(hop_s) for step in self.steps)

    @property
    def is_bounded(self) -> bool:
        """As `Method.is_bounded`."""
        return all(step.is_bounded for step in self.steps)

    def select(self, columns: Sequence[int]) -> Chain:
        """The parameters of some classes."""
        return Chain(tuple(step.select(columns) for step in self.steps))

    def spread(self, shared: Chain, columns: Sequence[int], num_classes: int) -> Chain:
        """The parameters of all classes, from those of some and those that classes share; inverse of `select`.

        Args:
            shared: The same methods with one value a parameter, for the other classes.
            columns: Of the classes that have their own.
            num_classes: Of all.
        """
        place = {column: index for index, column in enumerate(columns)}
        steps = []
        for own, common in zip(self.steps, shared.steps, strict=True):
            choices = [own.of_class(place[c]) if c in place else common for c in range(num_classes)]
            steps.append(join_classes(choices))
        return Chain(tuple(steps))

    def describe(self) -> str:
        """Names of the methods, as options give them."""
        return "+".join(step.name for step in self.steps) or "none"

    def check(self, num_classes: int) -> None:
        """Raise a ConfigError unless parameters fit a model's number of classes."""
        for step in self.steps:
            for name in step.values():
                step.by_class(name, num_classes)

    def to_list(self) -> list[dict[str, Any]]:
        """Plain values; infinity, which JSON cannot say, as None."""
        return [
            {"name": step.name, **{key: _plain(value) for key, value in step.values().items()}} for step in self.steps
        ]

    @classmethod
    def from_list(cls, steps: Any) -> Chain:
        """The inverse of `to_list`.

        Raises:
            ConfigError: If it is none: an unknown method, a parameter that is missing, unknown or not allowed.
        """
        require(isinstance(steps, list | tuple), "postprocessing", steps, "a list of methods")
        return cls(tuple(_step(step) for step in steps))


def parse_chain(names: str) -> tuple[type[Method], ...]:
    """Methods of a chain that is given by names, such as `median+hysteresis`; `none` alone is no method.

    Raises:
        ConfigError: If there is no such method.
    """
    return () if names == "none" else tuple(POSTPROCESSING.get(name) for name in names.split("+"))


def _plain(value: Value) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and math.isinf(value) else value


def _step(values: Any) -> Method:
    require(
        isinstance(values, Mapping) and isinstance(values.get("name"), str),
        "postprocessing",
        values,
        "a method with its name",
    )
    method, given = POSTPROCESSING.get(values["name"]), dict(values)
    del given["name"]
    known = [item.name for item in dataclasses.fields(method)]
    for key in given:
        if key not in known:
            raise ConfigError(f"unknown key {values['name']}.{key}; {nearest(key, known)}")
    step: Method = method(**{key: _value(value) for key, value in given.items()})
    return step


def _value(value: Any) -> Any:
    return tuple(map(_value, value)) if isinstance(value, list | tuple) else math.inf if value is None else value
