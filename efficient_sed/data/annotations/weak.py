"""Labels of whole files, as DESED's weak tables: `filename event_labels`, separated by a tab, labels by commas."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from efficient_sed.data.annotations.tables import log_unused, read_table, read_text
from efficient_sed.data.spelling import canonical, canonical_path
from efficient_sed.errors import DataError, nearest

if TYPE_CHECKING:
    from efficient_sed.data.events import Event

COLUMNS = ("filename", "event_labels")


def read_weak_labels(path: Path, classes: Sequence[str]) -> dict[str, tuple[Event, ...]]:
    """Read labels by file name, as events from 0 to infinity; a file without labels holds none of the classes.

    Args:
        path: The table.
        classes: Labels that are allowed.

    Raises:
        DataError: If it cannot be read, names a file twice, or a label that is no class; with its line number.
    """
    from efficient_sed.data.events import Event, merge_overlapping  # needs numpy, which `--help` does without

    if not path.is_file():
        raise DataError(f"{path}: no such table of weak labels")
    known, found = frozenset(classes), dict[str, tuple[Event, ...]]()
    needed = f", separated by tabs: {' '.join(COLUMNS)}"
    for number, (place, row) in enumerate(read_table(path, read_text(path), COLUMNS, needed, delimiter="\t")):
        if number == 0:
            log_unused(str(path), list(row), COLUMNS)
        name = canonical_path(row["filename"])
        if not name:
            raise DataError(f"{place}: the filename is empty")
        if name in found:
            raise DataError(f"{place}: {name!r} is there twice; put all its labels into one row, joined by commas")
        labels = _labels(canonical(row["event_labels"]), known)
        if unknown := next((label for label in labels if label not in known), None):
            raise DataError(f"{place}: label {unknown!r} is none of the classes; {nearest(unknown, classes)}")
        found[name] = merge_overlapping(Event(0.0, math.inf, label) for label in labels)
    return found


def _labels(text: str, known: Collection[str]) -> list[str]:
    """Labels joined by commas; the longest class that fits counts, since a class may hold commas itself."""
    pieces, labels = text.split(","), list[str]()
    while pieces:
        joined = (",".join(pieces[:count]).strip() for count in range(len(pieces), 0, -1))
        label = next((label for label in joined if label in known), pieces[0].strip())
        del pieces[: 1 + label.count(",")]
        labels += [label] if label else []
    return labels
