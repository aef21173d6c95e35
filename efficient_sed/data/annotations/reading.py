"""Reading annotation files and folders of them, in a format that is recognised by content."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from efficient_sed.audio.encoded import SUFFIXES
from efficient_sed.data.annotations.contract import AnnotationFormat, Annotations, Source, find_format
from efficient_sed.data.annotations.event_tables import TableFormat
from efficient_sed.data.annotations.tables import read_text
from efficient_sed.data.spelling import canonical
from efficient_sed.errors import DataError
from efficient_sed.files.folders import walk_files
from efficient_sed.registry import ANNOTATION_FORMATS

if TYPE_CHECKING:
    from efficient_sed.data.events import Event

logger = logging.getLogger(__name__)
NO_COLUMNS: Mapping[str, str] = MappingProxyType({})
_ENDINGS = re.compile(r"\.Table\.\d+(\..*)?$|\.selections\.txt$|\.BirdNET\..*$|\.[^.]*$", re.IGNORECASE)
_SHARED_ENDINGS = (".txt", ".json")  # which say nothing of the format
_SHOWN = 60  # characters of a first line


def open_source(path: Path, columns: Mapping[str, str] = NO_COLUMNS, folder: Path | None = None) -> Source:
    """Read the text of an annotation file.

    Args:
        path: The file.
        columns: Names of columns that the user gave.
        folder: The recording that the file stands for is named relative to it; default None, by its file name alone.

    Raises:
        DataError: If it is not there or cannot be read.
    """
    if not path.is_file():
        raise DataError(f"{path}: {'a folder, and no annotation file' if path.is_dir() else 'no such annotation file'}")
    return Source(path, read_text(path), recording_of(path, folder), columns)


def recording_of(path: Path, folder: Path | None = None) -> str:
    """The recording that a file stands for if it names none; arguments as for `open_source`."""
    own = path.with_name(_ENDINGS.sub("", path.name).strip(".") or path.name)
    return canonical(own.relative_to(folder).as_posix() if folder else own.name)


def choose_format(source: Source, name: str | None = None) -> AnnotationFormat:
    """The format of a file.

    Args:
        source: The file.
        name: The format if it is known; default None, recognised by content, and where none fits by the ending.

    Raises:
        ConfigError: If there is no such format.
        DataError: If no format fits; the message lists those that were tried.
    """
    if name is not None:
        return find_format(name)
    formats = sorted(map(find_format, ANNOTATION_FORMATS.names()), key=lambda each: each.is_fallback)
    if found := next((each for each in formats if each.recognises(source)), None):
        return found
    ending = source.path.suffix.lower()
    if named := next((each for each in formats if each.ending.lower() == ending not in _SHARED_ENDINGS), None):
        return named  # whose reader says what is wrong
    source.check_json()
    start = source.header if len(source.header) <= _SHOWN else f"{source.header[:_SHOWN]}…"
    tried = ", ".join(ANNOTATION_FORMATS.names())
    raise DataError(
        f"{source.path}: begins with {start!r}, which is no annotation format that is known; tried: {tried}"
    )


def _parse(source: Source, chosen: AnnotationFormat) -> Annotations:
    """What a file holds, with a note on columns that the user named and the format has none for."""
    others = f"columns for {', '.join(chosen.roles)} alone" if chosen.roles else "no columns"
    notes = [
        f"{source.path}: {role}={column} is not used: {chosen.name} has {others}"
        for role, column in source.columns.items()
        if role not in (*chosen.roles, "score")
    ]
    found = chosen.parse(source)
    return dataclasses.replace(found, notes=(*notes, *found.notes))


def read_annotations(
    path: Path, format_name: str | None = None, columns: Mapping[str, str] = NO_COLUMNS
) -> Annotations:
    """Read a file, or every file below a folder; the log says what was left out, and which format was recognised.

    Args:
        path: The file or folder. Audio files and hidden files in a folder are passed over; an empty file there is a
            recording without events.
        format_name: The format; default None, recognised by content, file by file.
        columns: Names of columns by "onset", "offset", "label" and "filename", for tables that name them otherwise.

    Raises:
        DataError: If a file cannot be read, a row makes no sense, or two files are about one recording.
    """
    if not path.is_dir():
        source = open_source(path, columns)
        chosen = choose_format(source, format_name)
        found = _parse(source, chosen)
        _log(None if format_name else f"{path}: read as {chosen.name}", found)
        return found
    used: Counter[str] = Counter()
    parts: dict[Path, Annotations] = {}
    for file in _annotation_files(path):
        source = open_source(file, columns, path)
        if source.text.strip():
            chosen = choose_format(source, format_name)
            parts[file] = _parse(source, chosen)
            used[chosen.name] += 1
        else:
            parts[file] = Annotations({source.recording: []})
            used["an empty file"] += 1
    if not parts:
        raise DataError(f"{path}: a folder, and no annotation file in it")
    found = _joined(parts)
    formats = ", ".join(f"{name} ({count:,})" for name, count in used.items())
    _log(None if format_name else f"{path}: read as {formats}", found)
    return found


def read_parts_table(
    path: Path, split_column: str, parts: Sequence[str], format_name: str | None, columns: Mapping[str, str]
) -> dict[str, Annotations]:
    """Read one table of all parts of a data set; arguments as for `read_annotations`.

    Args:
        path: The table.
        split_column: Column that names the part of each row.
        parts: What it may hold.
        format_name: The format; default None, recognised by content.
        columns: Names of columns.

    Raises:
        DataError: If it is no table, or cannot be read.
    """
    source = open_source(path, columns)
    chosen = choose_format(source, format_name)
    if not isinstance(chosen, TableFormat):
        raise DataError(f"{path}: read as {chosen.name}, which has no column {split_column!r} for the part of a row")
    found = chosen.parse_parts(source, split_column, parts)
    _log(None if format_name else f"{path}: read as {chosen.name}", next(iter(found.values())))
    return found


def _annotation_files(folder: Path) -> list[Path]:
    found = (path for path in walk_files(folder) if not path.name.startswith("."))
    return sorted(path for path in found if path.suffix.lower() not in SUFFIXES)


def _joined(parts: Mapping[Path, Annotations]) -> Annotations:
    """Annotations of several files as one."""
    events: dict[str, Sequence[Event]] = {}
    owner: dict[str, Path] = {}
    durations_s: dict[str, float] = {}
    for path, part in parts.items():
        for name in part.events:
            if (other := owner.setdefault(name, path)) != path:
                raise DataError(f"{other} and {path}: both are about the recording {name!r}; remove one")
        events.update(part.events)
        durations_s.update(part.durations_s)
    has_scores = any(part.has_scores for part in parts.values())
    return Annotations(events, durations_s, has_scores, tuple(note for part in parts.values() for note in part.notes))


def _log(line: str | None, found: Annotations) -> None:
    if line is not None:
        logger.info("%s", line)
    for note in found.notes:
        logger.warning("%s", note)
