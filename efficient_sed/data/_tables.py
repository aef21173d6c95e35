"""Text tables with a header, as annotations come in."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from efficient_sed.errors import DataError


def read_table(
    path: Path, text: str, columns: Sequence[str], needed: str = "", delimiter: str = ",", quoting: Literal[0, 3] = csv.QUOTE_MINIMAL
) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows by column, each after the place it stands in; fields that are missing at a row's end are empty.

    Args:
        path: Where the text is from, for messages.
        columns: Those that must be there.
        needed: Said of them, where one is missing.

    Raises:
        DataError: For a column that is missing or there twice, a row that has more fields than the header, or text that is no table.
    """
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter, quoting=quoting, restkey="", restval="")
    try:
        header = list(reader.fieldnames or ())
        for column in columns:
            if column not in header:
                raise DataError(f"{path}: column {column!r} is missing; found: {', '.join(header) or 'nothing'}{needed and f'; needed{needed}'}")
            if header.count(column) > 1:
                raise DataError(f"{path}: column {column!r} is there twice")
        for row in reader:
            place = f"{path}:{reader.line_num}"
            if len(row) > len(set(header)) and any(row.pop("")):
                raise DataError(f"{place}: has more fields than the {len(header)} columns of the header")
            yield place, row
    except csv.Error as error:
        raise DataError(f"{path}: not a table ({error})") from error
