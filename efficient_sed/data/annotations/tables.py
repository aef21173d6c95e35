"""Reading and writing text tables with a header, in one dialect for annotations and detections.

A field that begins and ends with a quotation mark, those inside doubled, is read as csv and pandas write it; any other
quotation mark stands for itself, as in tables that people type.
"""

from __future__ import annotations

import codecs
import io
import logging
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from efficient_sed.errors import DataError

logger = logging.getLogger(__name__)
_QUOTED = re.compile(r'"([^"]*(?:""[^"]*)*)"(?!")')
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_SOFT_STEMS = (
    *("agreement", "certainty", "conf", "confidence", "likelihood", "prob", "probabilitie", "probability"),
    *("reliability", "soft", "strength", "uncertainty", "weight", "weighting"),
)
SOFT_WORDS = frozenset(f"{stem}{ending}" for stem in _SOFT_STEMS for ending in ("", "s"))
SOFT_COLUMN = "confidence"  # of soft labels
MAX_LINES = 100  # of one row
DELIMITERS = ("\t", ",", ";")


def read_text(path: Path, hint: str = "") -> str:
    """Text of a file in UTF-8, or UTF-16 with a byte-order mark (Praat, Excel); line ends stay as they are.

    Args:
        path: The file.
        hint: What to do, in a message about a file that cannot be read.

    Raises:
        DataError: If it cannot be read, or is in another encoding.
    """
    try:
        content = path.read_bytes()
        is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        if b"\0" in content and not is_utf16:
            raise DataError(f"{path}: holds bytes of zero, as UTF-16 without a byte-order mark does; save it as UTF-8")
        return content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}){hint and f'; {hint}'}") from error


Row = tuple[str, dict[str, str]]
"""Where a row stands, and its fields by column."""


def read_table(path: Path, text: str, columns: Sequence[str], needed: str = "", delimiter: str = ",") -> Iterator[Row]:
    """Rows by column, each after the place it stands in; fields that are missing at a row's end are empty.

    Args:
        path: File of the text, for messages.
        text: Content of the table.
        columns: Those that must be there; one of them may weigh labels.
        needed: Hint about them, for the message about a missing one.
        delimiter: Between fields.

    Raises:
        DataError: For a column that is missing or there twice, a label with a weight, or a row of too many fields.
    """
    rows = split_rows(io.StringIO(text, newline=""), delimiter)  # lines end with \n, \r or \r\n
    _, header = next(rows, (1, []))
    for column in columns:
        if column not in header:
            found = ", ".join(header) or "nothing"
            raise DataError(f"{path}: column {column!r} is missing; found: {found}{needed and f'; needed{needed}'}")
        if header.count(column) > 1:
            raise DataError(f"{path}: column {column!r} is there twice")
    soft = [column for column in soft_columns(header) if column not in columns]
    for line, fields in rows:
        place = f"{path}:{line}"
        if any(fields[len(header) :]):
            advice = "; write 0.5, and not 0,5, and quote a text that holds a comma" if delimiter == "," else ""
            raise DataError(f"{place}: has more fields than the {len(header)} columns of the header{advice}")
        row = dict.fromkeys(header, "") | dict(zip(header, fields, strict=False))
        for column in soft:
            check_hard(place, column, row[column])
        yield place, row


def soft_columns(header: Sequence[str]) -> list[str]:
    """Columns that weigh labels, by their names. `score` is no such column: it belongs to a detected event."""
    return [name for name in header if not SOFT_WORDS.isdisjoint(word.lower() for word in _WORDS.findall(name))]


def is_milliseconds(column: str) -> bool:
    """Whether a column of times is named so: start_ms, `Begin (ms)`, onsetMs."""
    return (_WORDS.findall(column) or [""])[-1].lower() in ("ms", "msec", "millis", "milliseconds")


def log_unused(where: str, header: Sequence[str], used: Sequence[str]) -> None:
    """Log which columns are not read, since they may change the meaning of a row."""
    known = {"", *used, *soft_columns(header)}
    if unused := [column for column in header if column not in known]:
        logger.info("%s: columns that are not used: %s", where, ", ".join(map(repr, unused)))


def check_hard(place: str, column: str, value: object) -> None:
    """Raise a DataError for a label with a weight other than 1 (for an uncertainty, other than 0)."""
    if value is None or str(value).strip() == "":
        return
    certain = 0 if "uncertain" in column.lower() else 1
    try:
        is_hard = float(str(value)) == certain
    except ValueError:
        is_hard = False
    if not is_hard:
        problem = f"{column}={value!r}, but labels with a weight are not supported: every event counts as fully there"
        advice = f"drop the rows that are too uncertain, and set {column!r} to {certain} in the others"
        if column == SOFT_COLUMN:
            advice += f"; data=folder data.is_soft=true takes {column!r} as the label of each event"
        raise DataError(f"{place}: {problem}; {advice}")


def split_rows(lines: Iterable[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of every row that is not empty; lines have their ends.

    A row with a quoted line break has the number of its last line.
    """
    remaining, ahead = iter(lines), deque[str]()
    num_columns = number = 0
    while (line := ahead.popleft() if ahead else next(remaining, None)) is not None:
        number += 1
        fields, is_open = _split(line, delimiter, num_columns)
        if is_open and len(fields) < num_columns:
            ahead.extend(islice(remaining, MAX_LINES - len(ahead)))
            for count in range(1, len(ahead) + 1):
                joined, is_open = _split(line + "".join(islice(ahead, count)), delimiter, num_columns)
                if not is_open and len(joined) == num_columns:
                    fields, number = joined, number + count
                    for _ in range(count):
                        ahead.popleft()
                    break
        if fields:
            num_columns = num_columns or len(fields)
            yield number, fields


def _split(line: str, delimiter: str, num_columns: int) -> tuple[list[str], bool]:
    """Fields of a row, and whether a quotation mark before one of them is never closed.

    Quotation marks stand for themselves where only that gives as many fields as there are columns.
    """
    line = line.rstrip("\r\n")
    plain = line.split(delimiter) if line else []
    if '"' not in line:
        return plain, False
    fields, position, is_open = [], -1, False
    while position < len(line):
        position += 1
        quoted = _QUOTED.match(line, position)
        if quoted and (quoted.end() == len(line) or line[quoted.end()] == delimiter):
            fields.append(quoted[1].replace('""', '"'))
            position = quoted.end()
            continue
        is_open |= line.startswith('"', position)
        end = line.find(delimiter, position)
        fields.append(line[position : end if end >= 0 else None])
        position = end if end >= 0 else len(line)
    return (plain if len(fields) != num_columns == len(plain) else fields), is_open


def join_row(fields: Sequence[object], delimiter: str = "\t") -> str:
    """A line of a table, with its end."""
    marks = ('"', "\t", "\r", "\n", delimiter)
    texts = map(str, fields)
    return delimiter.join(_quoted(text) if any(mark in text for mark in marks) else text for text in texts) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
