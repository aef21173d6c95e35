"""Events and soft labels from what an annotation file holds, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from efficient_sed.data.spelling import canonical
from efficient_sed.errors import DataError

if TYPE_CHECKING:
    from efficient_sed.data.events import Event


def make_event(
    place: str,
    onset: Any,
    offset: Any,
    label: Any,
    score: Any = "",
    *,
    label_name: str = "label",
    score_name: str = "score",
    is_soft: bool = False,
) -> Event:
    """An event from what a file holds, text or numbers.

    Args:
        place: File and line, for messages.
        onset: Seconds.
        offset: Seconds.
        label: Blanks around it are a typing slip, not another class.
        score: Empty or None for none, which counts as 1.
        label_name: What the file calls a label, for messages.
        score_name: What it calls a score.
        is_soft: Whether the score is a soft label, which is never empty.

    Raises:
        DataError: If times are no seconds or not in order, the label is empty, or the score is no number, and as a
            soft label none from 0 to 1.
    """
    from efficient_sed.data.events import Event  # needs numpy, which `--help` does without

    if not isinstance(label, str):
        raise DataError(f"{place}: {label_name} is {label!r}; labels are text")
    if not label.strip():
        raise DataError(f"{place}: onset without {label_name}")
    try:
        if isinstance(onset, bool) or isinstance(offset, bool):
            raise TypeError("a truth value")
        onset_s, offset_s = float(onset), float(offset)
    except (TypeError, ValueError):
        raise not_seconds(place, {"onset": onset, "offset": offset}) from None
    if not (math.isfinite(onset_s) and math.isfinite(offset_s) and 0 <= onset_s < offset_s):
        raise DataError(f"{place}: onset={onset_s:g} must be at least 0 and before offset={offset_s:g}")
    if is_soft:
        check_confidence(place, score_name, score)
    return Event(onset_s, offset_s, canonical(label.strip()), _score(place, score))


def not_seconds(place: str, values: Mapping[str, Any]) -> DataError:
    """The error about values of which one is no time."""
    shown = ", ".join(f"{name}={value!r}" for name, value in values.items())
    has_comma = any("," in value for value in values.values() if isinstance(value, str))
    return DataError(f"{place}: {shown} are not seconds{'; write 0.5, and not 0,5' if has_comma else ''}")


def known_length(value: Any) -> float | None:
    """A recording's length in seconds as JSON holds it; None for anything that is no number above 0."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None


def _score(place: str, score: Any) -> float:
    if score is None or score == "":
        return 1.0
    try:
        value = math.nan if isinstance(score, bool) else float(score)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{place}: score={score!r} is not a number")
    return value


def check_confidence(place: str, column: str, value: Any) -> None:
    """Raise a DataError for a soft label that is no number from 0 to 1."""
    try:
        is_label = not isinstance(value, bool) and 0 <= float(value) <= 1
    except (TypeError, ValueError):
        is_label = False
    if not is_label:
        raise DataError(f"{place}: {column}={value!r} is not allowed: a number from 0 to 1")
