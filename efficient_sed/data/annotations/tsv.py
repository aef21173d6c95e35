"""Tab-separated values, as DESED's tables: `filename onset offset event_label`, and in detections `score`.

A recording without events has one row with empty fields.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from efficient_sed.data.annotations.contract import AnnotationFormat, Events, has_controls, unfit_name
from efficient_sed.data.annotations.tables import SOFT_COLUMN, join_row, log_unused, read_table, read_text, split_rows
from efficient_sed.data.labels import label_problem
from efficient_sed.data.spelling import canonical
from efficient_sed.errors import DataError, nearest
from efficient_sed.registry import ANNOTATION_FORMATS

if TYPE_CHECKING:
    from efficient_sed.data.events import Event

EVENT_COLUMNS = ("filename", "onset", "offset", "event_label")
DETECTION_COLUMNS = (*EVENT_COLUMNS, "score")


@ANNOTATION_FORMATS.register("tsv")
class Tsv(AnnotationFormat):
    """A table with a header and a row an event."""

    ending = ".tsv"
    is_read = True

    def format(self, events: Events, durations_s: Mapping[str, float]) -> str:
        """Write events; see `AnnotationFormat.format`."""
        rows: list[Sequence[object]] = [DETECTION_COLUMNS]
        for file, found in events.items():
            rows += ([file, round(e.onset_s, 6), round(e.offset_s, 6), e.label, round(e.score, 4)] for e in found)
            if not found:
                rows.append([file, "", "", "", ""])
        return "".join(map(join_row, rows))

    def parse(self, path: Path) -> dict[str, list[Event]]:
        """Read a table; see `AnnotationFormat.parse`."""
        return read_annotations(path)[""]

    def name_problem(self, names: Sequence[str]) -> str | None:
        """Return why names cannot be held; see `AnnotationFormat.name_problem`."""
        return next((unfit_name(name) for name in names if not _is_read_again(name)), None)

    def label_problem(self, labels: Sequence[str]) -> str | None:
        """Return why labels cannot be held; see `AnnotationFormat.label_problem`."""
        for label in labels:
            if label_problem([label]) or has_controls(label) or not _is_read_again(label):
                return f"it cannot hold the label {label!r}"
        return None

    def is_detections(self, start: str) -> bool:
        """Recognise detections; see `AnnotationFormat.is_detections`."""
        return start.startswith(join_row(DETECTION_COLUMNS))


def read_annotations(
    path: Path, split_column: str | None = None, parts: Sequence[str] = (), *, is_soft: bool = False
) -> dict[str, dict[str, list[Event]]]:
    """Read events by part and file name; without a split column the only part is "".

    Args:
        path: File of tab-separated values.
        split_column: Column that names the part of each row; default None, there are no parts.
        parts: What that column may hold.
        is_soft: Whether a column `confidence` holds a score in [0, 1] for each event; rows with 0 are no events.

    Raises:
        DataError: For a missing file or column, or a row that makes no sense; with its line number.
    """
    if not path.is_file():
        raise DataError(f"{path}: {'a folder, and no annotation file' if path.is_dir() else 'no such annotation file'}")
    by_part: dict[str, dict[str, list[Event]]] = {part: {} for part in (parts if split_column else ("",))}
    own = (*EVENT_COLUMNS, *([SOFT_COLUMN] if is_soft else []))
    columns = (*own, *([split_column] if split_column else []))
    needed = f", separated by tabs: {' '.join(own)}"
    for number, (place, row) in enumerate(read_table(path, read_text(path), columns, needed, delimiter="\t")):
        if number == 0:
            log_unused(str(path), list(row), columns)
        part = row[split_column] if split_column else ""
        if part not in by_part:
            raise DataError(f"{place}: {split_column}={part!r} is not a part; {nearest(part, parts)}")
        if not row["filename"]:
            raise DataError(f"{place}: the filename is empty")
        events = by_part[part].setdefault(PurePosixPath(canonical(row["filename"])).as_posix(), [])  # ./a.wav is a.wav
        if row["event_label"] or row["onset"] or row["offset"]:
            event = _read_event(row, place)
            score = _read_confidence(row[SOFT_COLUMN], place) if is_soft else event.score
            if score > 0:
                events.append(event._replace(score=score))
    return by_part


def _read_event(row: Mapping[str, str], place: str) -> Event:
    from efficient_sed.data.events import Event  # needs numpy, which `--help` does without

    label = canonical(row["event_label"].strip())  # blanks around a label are a typing slip, not another class
    if not label:
        raise DataError(f"{place}: onset without event_label")
    try:
        onset, offset = float(row["onset"]), float(row["offset"])
    except (TypeError, ValueError):
        raise DataError(f"{place}: onset={row['onset']!r}, offset={row['offset']!r} are not seconds") from None
    if not (math.isfinite(onset) and math.isfinite(offset) and 0 <= onset < offset):
        raise DataError(f"{place}: onset={onset:g} must be at least 0 and before offset={offset:g}")
    return Event(onset, offset, label)


def _read_confidence(text: str, place: str) -> float:
    try:
        confidence = float(text)
    except ValueError:
        confidence = math.nan
    if not 0 <= confidence <= 1:
        raise DataError(f"{place}: {SOFT_COLUMN}={text!r} is not allowed: a number from 0 to 1")
    return confidence


def _is_read_again(text: str) -> bool:
    """Whether a name or a label is read back as it was written."""
    if has_controls(text) or not any(mark in text for mark in '"\t\r\n'):
        return not has_controls(text)
    times = ["0.0", "1.0"]
    rows = [list(DETECTION_COLUMNS), [text, *times, text, "1.0"], [text, "", "", "", ""], ["a", *times, text, "1.0"]]
    return [fields for _, fields in split_rows(io.StringIO("".join(map(join_row, rows)), newline=""), "\t")] == rows
