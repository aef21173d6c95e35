"""AudioSet's official annotations: events of the strong set (TSV or CSV), labels of the weak set (CSV)."""

from __future__ import annotations

import csv
import difflib
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from efficient_sed.data.annotations.tables import check_hard, soft_columns, split_rows
from efficient_sed.data.events import Event
from efficient_sed.errors import DataError

STRONG_COLUMNS = ("start_time_seconds", "end_time_seconds", "label")
LABEL_END_S = 1e9  # a label of a whole clip; cut to the clip's duration


class Annotations(NamedTuple):
    """Events by clip, and how many were left out because their class is outside the list, by class."""

    events: dict[str, list[Event]]
    outside: Counter[str]


def clip_id(name: str) -> str:
    """A clip's id, `Y<youtube id>.mp3`, from the name of its file of any kind in any folder."""
    name = name.replace("\\", "/").rsplit("/", 1)[-1]
    stem, dot, _ = name.rpartition(".")
    return f"{stem if dot else name}.mp3"


def add_event(
    found: Annotations,
    events: list[Event],
    onset_s: float,
    offset_s: float,
    name: str,
    vocabulary: Mapping[str, str | None],
    place: Callable[[], str],
) -> None:
    """Add an event to the list of its clip, or count it as outside; one without length is left out.

    Raises:
        DataError: If its times or its class make no sense; the message begins with `place()`.
    """
    label = vocabulary.get(name, name)
    if label is name and name not in vocabulary:
        close = difflib.get_close_matches(name, vocabulary, n=1, cutoff=0.5)
        raise DataError(
            f"{place()}: {name!r} is no class of AudioSet"
            + (f"; did you mean {close[0]!r}?" if close else "; needed: a mid such as /m/09x0r, or its label")
        )
    if not 0 <= onset_s <= offset_s < math.inf:
        raise DataError(f"{place()}: start {onset_s:g} s must be at least 0 and before end {offset_s:g} s")
    if label is None:
        found.outside[name] += 1
    elif onset_s < offset_s:
        events.append(Event(onset_s, offset_s, label))


def read_strong_table(path: Path, vocabulary: Mapping[str, str | None]) -> Annotations:
    """Events of the official TSV or its comma-separated copy, whose first column has no name.

    Raises:
        DataError: For a missing column, a row that makes no sense, or two segments of one video; with line numbers.
    """
    found = Annotations({}, Counter())
    clips: dict[str, tuple[int, list[Event]]] = {}  # by segment: the line where it begins, its events
    rows = _rows(path)
    _, header = next(rows, (1, []))
    start, end, name = [_column(path, header, column) for column in STRONG_COLUMNS]
    key = header.index("segment_id") if "segment_id" in header else 0
    soft = soft_columns(header)
    for line, row in rows:

        def place(line: int = line) -> str:
            return f"{path}:{line}"

        if len(row) != len(header):
            raise DataError(f"{place()}: {len(row)} columns, the header has {len(header)}")
        for column in soft:
            check_hard(place(), column, row[header.index(column)])
        if row[key] not in clips:
            clips[row[key]] = (line, found.events.setdefault(_clip_of(row[key], found, clips, place), []))
        try:
            onset_s, offset_s = float(row[start]), float(row[end])
        except ValueError:
            raise DataError(f"{place()}: {row[start]!r} and {row[end]!r} are not seconds") from None
        add_event(found, clips[row[key]][1], onset_s, offset_s, row[name], vocabulary, place)
    return found


def _clip_of(
    segment: str, found: Annotations, clips: Mapping[str, tuple[int, list[Event]]], place: Callable[[], str]
) -> str:
    """The clip that a segment is, which must be the only one of its video."""
    video, separator, _ = segment.rpartition("_")
    if not (separator and video):
        raise DataError(f"{place()}: segment {segment!r} is not <youtube id>_<start in ms>")
    clip = f"Y{video}.mp3"
    if clip in found.events:
        other, line = next((other, line) for other, (line, _) in clips.items() if other.rpartition("_")[0] == video)
        raise DataError(
            f"{place()}: segment {segment!r} is of the same video as {other!r} in line {line}; clip ids must not repeat"
        )
    return clip


def read_weak_table(path: Path, vocabulary: Mapping[str, str | None]) -> Annotations:
    """Labels of the official segments CSV, as events without end.

    Comment lines, then `YTID, start_seconds, end_seconds, "mid,mid"`.

    Raises:
        DataError: For a row that makes no sense or a video that stands there twice; with line numbers.
    """
    found = Annotations({}, Counter())
    lines: dict[str, int] = {}
    for line, row in _rows(path, comment="#"):

        def place(line: int = line) -> str:
            return f"{path}:{line}"

        if len(row) != 4:
            raise DataError(f'{place()}: {len(row)} columns; needed: YTID, start_seconds, end_seconds, "labels"')
        clip = f"Y{row[0]}.mp3"
        if clip in lines:
            raise DataError(f"{place()}: {row[0]!r} stands in line {lines[clip]} too; clip ids must not repeat")
        lines[clip] = line
        events = found.events.setdefault(clip, [])
        for name in row[3].split(","):
            add_event(found, events, 0.0, LABEL_END_S, name.strip(), vocabulary, place)
    return found


def _rows(path: Path, comment: str | None = None) -> Iterator[tuple[int, list[str]]]:
    """Line and fields of every row that is not empty."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            if "\t" in first:
                yield from split_rows(file, "\t")
                return
            reader = csv.reader(file, skipinitialspace=True)
            for row in reader:
                if row and not (comment and row[0].startswith(comment)):
                    yield reader.line_num, row
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    except csv.Error as error:
        raise DataError(f"{path}: not a table ({error})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _column(path: Path, header: list[str], name: str) -> int:
    if name not in header:
        raise DataError(
            f"{path}: column {name!r} is missing; found: {', '.join(header) or 'nothing'}; needed: segment_id "
            f"{' '.join(STRONG_COLUMNS)}"
        )
    return header.index(name)
