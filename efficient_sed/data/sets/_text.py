"""Annotations as text without a header: rows of `onset offset label`, some with a confidence behind them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from efficient_sed.data.annotations.checked import check_confidence, make_event
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
        if has_confidence:
            check_confidence(place, needed[3], fields[3])
        event = make_event(place, *fields)
        check_label(place, event.label, classes)
        events.append(event)
    return events


def check_label(place: str, label: str, classes: Sequence[str]) -> None:
    """Raise a DataError for a label that is not one of the classes."""
    if label not in classes:
        raise DataError(f"{place}: label {label!r} is not one of the {len(classes)} classes; {nearest(label, classes)}")
