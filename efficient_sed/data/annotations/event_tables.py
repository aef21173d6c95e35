"""What formats have in common that are tables with a header and a row an event."""

from __future__ import annotations

import abc
import contextlib
import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, ClassVar

from efficient_sed.data.annotations.checked import make_event
from efficient_sed.data.annotations.contract import (
    SCORE_DECIMALS,
    AnnotationFormat,
    Annotations,
    Source,
    has_controls,
    unfit_name,
)
from efficient_sed.data.annotations.tables import Row, is_milliseconds, join_row, log_unused, read_table, split_rows
from efficient_sed.data.labels import label_problem
from efficient_sed.data.spelling import canonical_path
from efficient_sed.errors import DataError, nearest

if TYPE_CHECKING:
    from efficient_sed.data.events import Event

_DRIVE = re.compile("[A-Za-z]:")  # of Windows
EVENT_COLUMNS = ("filename", "onset", "offset", "event_label")
DETECTION_COLUMNS = (*EVENT_COLUMNS, "score")


class TableFormat(AnnotationFormat):
    """Rows of events. Subclasses find the columns of their files by role: filename, onset, offset, label, score."""

    roles = ("filename", "onset", "offset", "label")
    written_delimiter: ClassVar[str] = "\t"
    known_columns: ClassVar[tuple[str, ...]] = ()
    """Columns that need no mention where they are not used."""

    @abc.abstractmethod
    def columns(self, source: Source) -> dict[str, str]:
        """The column of each role that a file has; the user's names come first.

        Raises:
            DataError: If one that is needed is missing.
        """

    def delimiter(self, source: Source) -> str:
        """What stands between the fields of a file."""
        return self.written_delimiter

    def prepared(
        self, source: Source, columns: Mapping[str, str], rows: Iterable[Row]
    ) -> tuple[Iterable[Row], list[str]]:
        """Rows as they are meant, and notes about those that are left out."""
        return rows, []

    def parse(self, source: Source) -> Annotations:
        """Read a table; see `AnnotationFormat.parse`."""
        return self.parse_parts(source)[""]

    def parse_parts(
        self, source: Source, split_column: str | None = None, parts: Sequence[str] = ()
    ) -> dict[str, Annotations]:
        """Read events by part; without a split column the only part is "".

        Args:
            source: The table.
            split_column: Column that names the part of each row; default None, there are no parts.
            parts: What that column may hold.

        Raises:
            DataError: For a missing column, or a row that makes no sense; with its line number.
        """
        columns, delimiter = self.columns(source), self.delimiter(source)
        for role in ("onset", "offset"):
            if is_milliseconds(columns[role]):
                advice = "times are seconds: divide it by 1000, and name it without ms"
                raise DataError(f"{source.path}: column {columns[role]!r} holds milliseconds, and {advice}")
        used = [*columns.values(), *([split_column] if split_column else [])]
        between = {"\t": "tabs", ",": "commas", ";": "semicolons"}[delimiter]
        wanted = [column for role, column in columns.items() if role != "score" or role in source.columns]
        needed = f", separated by {between}: {' '.join(wanted)}"
        log_unused(str(source.path), header_of(source, delimiter), [*used, *self.known_columns])
        table = read_table(source.path, source.text, used, needed, delimiter)
        rows, notes = self.prepared(source, columns, table)
        by_part: dict[str, dict[str, list[Event]]] = {part: {} for part in (parts if split_column else ("",))}
        is_empty, has_scores = True, False
        for place, row in rows:
            is_empty = False
            part = row[split_column] if split_column else ""
            if part not in by_part:
                raise DataError(f"{place}: {split_column}={part!r} is not a part; {nearest(part, parts)}")
            events = by_part[part].setdefault(_recording(source, columns, place, row), [])
            onset, offset, label = (row[columns[role]] for role in ("onset", "offset", "label"))
            if onset or offset or label:
                score = row[columns["score"]] if "score" in columns else ""
                has_scores |= score != ""
                names = {"label_name": columns["label"], "score_name": columns.get("score", "score")}
                events.append(make_event(place, onset, offset, label, score, is_soft=source.is_soft, **names))
        if is_empty and split_column is None and ("filename" not in columns or not self.holds_many):
            by_part[""] = {source.recording: []}
        return {part: Annotations(events, {}, has_scores, tuple(notes)) for part, events in by_part.items()}

    def format(self, annotations: Annotations) -> str:
        """Write the columns of DESED; see `AnnotationFormat.format`."""
        header = DETECTION_COLUMNS if annotations.has_scores else EVENT_COLUMNS
        rows: list[Sequence[object]] = [header]
        for file, found in annotations.events.items():
            values = (
                [file, round(e.onset_s, 6), round(e.offset_s, 6), e.label, round(e.score, SCORE_DECIMALS)]
                for e in found
            )
            rows += (row[: len(header)] for row in values)
            if not found:
                rows.append([file, *[""] * (len(header) - 1)])
        return "".join(join_row(row, self.written_delimiter) for row in rows)

    def name_problem(self, names: Sequence[str]) -> str | None:
        """Return why names cannot be held; see `AnnotationFormat.name_problem`."""
        return next((unfit_name(name) for name in names if not self._is_read_again(name)), None)

    def label_problem(self, labels: Sequence[str]) -> str | None:
        """Return why labels cannot be held; see `AnnotationFormat.label_problem`."""
        for label in labels:
            if label_problem([label]) or has_controls(label) or not self._is_read_again(label):
                return f"it cannot hold the label {label!r}"
        return None

    def is_detections(self, start: str) -> bool:
        """Recognise detections; see `AnnotationFormat.is_detections`."""
        return start.startswith(join_row(DETECTION_COLUMNS, self.written_delimiter))

    def _is_read_again(self, text: str) -> bool:
        """Whether a name or a label is read back as it was written."""
        delimiter = self.written_delimiter
        if has_controls(text) or not any(mark in text for mark in ('"', "\t", "\r", "\n", delimiter)):
            return not has_controls(text)
        times = ["0.0", "1.0"]
        rows = [list(DETECTION_COLUMNS), [text, *times, text, "1.0"], [text, "", "", "", ""]]
        rows.append(["a", *times, text, "1.0"])
        lines = io.StringIO("".join(join_row(row, delimiter) for row in rows), newline="")
        return [fields for _, fields in split_rows(lines, delimiter)] == rows


def header_of(source: Source, delimiter: str) -> list[str]:
    """The names of a table's columns."""
    return next((fields for _, fields in split_rows([source.header], delimiter)), [])


def missing_column(role: str, header: Sequence[str]) -> str:
    """Message about a column that a table lacks, and how it is named."""
    found = ", ".join(header) or "nothing"
    return f"no column of {role}s; found: {found}; name it as --column {role}=NAME, or data.columns.{role}=NAME"


def relative_names(raw: Iterable[str], recording: str) -> dict[str, str]:
    """Names of recordings by how a table writes them.

    Paths of Windows get slashes. Absolute ones become relative to the folder that they share, which is taken for that
    of the table.

    Args:
        raw: As they are written.
        recording: `Source.recording` of the table.
    """
    paths = {name: PurePosixPath(PureWindowsPath(name).as_posix() if "\\" in name else name) for name in raw}
    absolute = {path for path in paths.values() if path.is_absolute() or _DRIVE.fullmatch((*path.parts, "")[0])}
    shared = ""
    with contextlib.suppress(ValueError):  # of none, or on several drives: they stay as they are
        shared = os.path.commonpath([path.parent for path in absolute])
    folder = PurePosixPath(recording).parent
    named = {
        name: folder / path.relative_to(shared) if shared and path in absolute else path for name, path in paths.items()
    }
    return {name: path.as_posix() if name else "" for name, path in named.items()}


def _recording(source: Source, columns: Mapping[str, str], place: str, row: Mapping[str, str]) -> str:
    if "filename" not in columns:
        return source.recording
    if not row[columns["filename"]]:
        raise DataError(f"{place}: the filename is empty")
    return canonical_path(row[columns["filename"]])
