"""The threshold of each class, from what a user gave: one number, numbers by label, or those that were tuned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from efficient_sed.data.spelling import canonical
from efficient_sed.errors import ConfigError, nearest, require

ThresholdChoice = float | Mapping[str, float] | str
"""One for all classes; some by label, with `DEFAULT` for the others; the same as text; or `AUTO`."""
AUTO, DEFAULT = "auto", "default"
ALLOWED = "a probability between 0 and 1, both excluded"
FORMS = f"{ALLOWED}; {AUTO}; or some by label, such as dog=0.3,{DEFAULT}=0.5"


def check_threshold(threshold: Any) -> None:
    """Check what can be checked without the model's classes.

    Raises:
        ConfigError: If it is no `ThresholdChoice`.
    """
    if isinstance(threshold, Mapping):
        for label, value in threshold.items():
            require(_is_probability(value), "threshold", f"{label}={value}", ALLOWED)
    else:
        is_text = isinstance(threshold, str) and (threshold == AUTO or "=" in threshold)
        require(is_text or _is_probability(threshold), "threshold", threshold, FORMS)


def class_thresholds(threshold: ThresholdChoice, classes: Sequence[str]) -> tuple[float | None, ...]:
    """The threshold of each class, None for those that the user gave none for.

    Args:
        threshold: What the user gave.
        classes: The model's labels.

    Raises:
        ConfigError: If a class is unknown, or a threshold not allowed.
    """
    check_threshold(threshold)
    if threshold == AUTO:
        return (None,) * len(classes)
    if isinstance(threshold, str):
        threshold = parse_thresholds(threshold, classes)
    if not isinstance(threshold, Mapping):
        return (float(threshold),) * len(classes)
    given = {canonical(label): value for label, value in threshold.items()}
    known = {canonical(label) for label in classes}
    for label, value in given.items():
        if label not in known | {DEFAULT}:
            raise ConfigError(f"threshold={label}={value} is not allowed: no such class; {nearest(label, classes)}")
    return tuple(given.get(canonical(label), given.get(DEFAULT)) for label in classes)


def parse_thresholds(text: str, classes: Sequence[str]) -> dict[str, float]:
    """Thresholds by label from text such as `dog=0.3,default=0.5`.

    Labels may hold commas and equals signs: where several known ones fit, the longest is taken.

    Raises:
        ConfigError: If a class is unknown or given twice, or a threshold is no number.
    """
    labels = sorted({*map(canonical, classes), DEFAULT}, key=len, reverse=True)
    rest, found = canonical(text).lstrip(), {}
    while True:
        label = next((label for label in labels if rest.startswith(f"{label}=")), None)
        if label is None:
            require(bool(rest), "threshold", text, "LABEL=THRESHOLD behind each comma")
            typed, equals, value = rest.partition("=")
            problem = f"no such class; {nearest(typed, labels)}" if equals else "LABEL=THRESHOLD, joined by commas"
            raise ConfigError(f"threshold={typed}{equals}{value.partition(',')[0]} is not allowed: {problem}")
        require(label not in found, "threshold", text, f"each class once, and {label} is there twice")
        value, comma, rest = rest[len(label) + 1 :].partition(",")
        try:
            found[label] = float(value)
        except ValueError:
            raise ConfigError(f"threshold={label}={value} is not allowed: {ALLOWED}") from None
        if not comma:
            check_threshold(found)
            return found
        rest = rest.lstrip()


def _is_probability(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 < float(value) < 1
