"""Score tables of sed_scores_eval, with the columns onset, offset and one a class: in memory, or a folder of files.

A table is a TSV or npz file, or anything with `columns` and `to_numpy()` such as a pandas DataFrame; pandas is not
needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from efficient_sed.data.scores.folder import ScoreFolder
from efficient_sed.data.scores.grid import Rows, count_frames
from efficient_sed.data.spelling import by_spelling, canonical
from efficient_sed.errors import DataError

TIMES = ("onset", "offset")


def open_scores(scores: Any) -> Mapping[str, Any]:
    """Arrays or score tables by clip, from a mapping of them, or a folder with a TSV or npz file a clip.

    Raises:
        DataError: If it is something else.
    """
    if isinstance(scores, str | PathLike):
        return ScoreFolder(Path(scores))
    return require_mapping("scores", scores, "an array (frames, classes) or a score table; or a folder of such tables")


def to_array(clip_id: str, scores: Any, classes: Sequence[str], frame_hop_s: float) -> Any:
    """Scores (frames, classes) of a score table, whose rows may cover several frames; anything else as it is.

    Raises:
        DataError: If the table has other columns or frames; the message names clip and row.
    """
    if not is_table(scores):
        return scores
    where, columns = f"clip {clip_id!r}", _columns(scores, classes)
    check_columns(where, columns, (*TIMES, *classes))
    if unknown := [column for column in columns if column not in {*TIMES, *classes}]:
        which = f"{unknown[0]!r}, which is none of the {len(classes)} classes"
        raise DataError(f"{where}: its table has the column {which}")
    values = _values(where, scores)
    counts = count_frames(where, _rows(columns, values), frame_hop_s)
    values = values[:, [columns.index(label) for label in classes]]
    return values if (counts == 1).all() else np.repeat(values, counts, axis=0)


def table_rows(clip_id: str, table: Any) -> Rows:
    """Onsets and offsets of a score table.

    Raises:
        DataError: If it is none; the message names the clip.
    """
    where, columns = f"clip {clip_id!r}", _columns(table, ())
    check_columns(where, columns, TIMES)
    return _rows(columns, _values(where, table))


def table_classes(clip_id: str, table: Any) -> tuple[str, ...]:
    """Labels of a score table in the order of its columns.

    Raises:
        DataError: If it is none, or has no label; the message names the clip.
    """
    where = f"clip {clip_id!r}"
    if not is_table(table):
        raise DataError(
            f"{where}: a {type(table).__name__}; needed: a table with the columns onset, offset, and labels"
        )
    columns = _columns(table, ())
    check_columns(where, columns, TIMES)
    labels = [column for column in columns if column not in TIMES]
    if not labels or not all(isinstance(label, str) and label.strip() for label in labels):
        raise DataError(f"{where}: its table needs the columns onset, offset, and a label for each other column")
    check_columns(where, columns, labels)
    return tuple(labels)


def is_table(value: Any) -> bool:
    """Whether a value is a table in memory."""
    return hasattr(value, "columns") and hasattr(value, "to_numpy")


def require_mapping(name: str, value: Any, of_clip: str, columns: Sequence[str] = ()) -> Mapping[str, Any]:
    """The value, if it gives something by clip.

    Raises:
        DataError: If it does not; the message says what is needed.
    """
    if not is_table(value) and hasattr(value, "keys") and hasattr(value, "__getitem__"):
        return value  # type: ignore[no-any-return]
    table = f", or a table or TSV file with the columns {', '.join(columns)}" if columns else ""
    raise DataError(f"{name} is a {type(value).__name__}; needed: a mapping from clip to {of_clip}{table}")


def check_columns(where: str, columns: Sequence[Any], wanted: Sequence[str]) -> None:
    """Raise a DataError unless each wanted column is there once."""
    for column in wanted:
        if (count := columns.count(column)) != 1:
            found = ", ".join(map(str, columns[:8])) + (", …" if len(columns) > 8 else "")
            problem = "missing" if count == 0 else "there twice"
            raise DataError(f"{where}: the column {column!r} is {problem}; found: {found}")


def _columns(table: Any, classes: Sequence[str]) -> list[Any]:
    """Names of columns, labels as they are spelled in the classes."""
    spelled = by_spelling(classes)
    return [spelled.get(canonical(name), name) if isinstance(name, str) else name for name in table.columns]


def _values(where: str, table: Any) -> np.ndarray:
    try:
        return np.asarray(table.to_numpy(), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: its table holds something else than numbers ({error})") from error


def _rows(columns: list[Any], values: np.ndarray) -> Rows:
    return Rows(*(values[:, columns.index(name)] for name in TIMES))
