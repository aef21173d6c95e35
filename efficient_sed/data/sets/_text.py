"""Annotations as text without a header: rows of `onset offset label`, some with a confidence behind them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from efficient_sed.data.annotations.tables import read_text
from efficient_sed.data.events import Event
from efficient_sed.errors import DataError, nearest


def read_rows(path: Path, classes: Sequence[str], *, has_confidence: bool = False, hint: str = "") -> list[Event]:
    """Events of one recording, their fields separated by tabs.

    Args:
        path: The file.
        classes: Allowed labels.
        has_confidence: Whether a fourth field, in [0, 1], is the event's score.
        hint: What to do, in a message about a file that cannot be read.

    Raises:
        DataError: For a row that makes no sense; with its line number.
    """
    needed = ("onset", "offset", "label", *(["confidence"] if has_confidence else []))
    events = []
    for number, line in enumerate(read_text(path, hint).splitlines(), 1):
        if not line.strip():
            continue
        place, fields = f"{path}:{number}", [field.strip() for field in line.strip().split("\t")]
        if len(fields) != len(needed):
            words = f"{line.strip()!r} has {len(fields)} fields; needed, separated by tabs: {' '.join(needed)}"
            raise DataError(f"{place}: {words}")
        onset, offset = read_times(place, fields[0], fields[1])
        check_label(place, fields[2], classes)
        events.append(Event(onset, offset, fields[2], read_confidence(place, fields[3]) if has_confidence else 1.0))
    return events


def read_times(place: str, onset: str, offset: str) -> tuple[float, float]:
    """Onset and offset in seconds; raise a DataError if they are none."""
    try:
        begin, end = float(onset), float(offset)
    except ValueError:
        raise DataError(f"{place}: onset={onset!r}, offset={offset!r} are not seconds") from None
    if not (math.isfinite(begin) and math.isfinite(end) and 0 <= begin < end):
        raise DataError(f"{place}: onset={begin:g} must be at least 0 and before offset={end:g}")
    return begin, end


def check_label(place: str, label: str, classes: Sequence[str]) -> None:
    """Raise a DataError for a label that is not one of the classes."""
    if label not in classes:
        raise DataError(f"{place}: label {label!r} is not one of the {len(classes)} classes; {nearest(label, classes)}")


def read_confidence(place: str, value: str) -> float:
    """A soft label; raise a DataError if it is no number from 0 to 1."""
    try:
        confidence = float(value)
    except ValueError:
        confidence = math.nan
    if not 0 <= confidence <= 1:
        raise DataError(f"{place}: confidence={value!r} is not a number from 0 to 1")
    return confidence
