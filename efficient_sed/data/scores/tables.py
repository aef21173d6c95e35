"""Score tables of sed_scores_eval, with the columns onset, offset and one a class: in memory, or a folder of files.

A table is a TSV or npz file, or anything with `columns` and `to_numpy()` such as a pandas DataFrame; pandas is not
needed.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from efficient_sed.data.annotations.tables import read_text, split_rows
from efficient_sed.data.scores.grid import Rows, count_frames
from efficient_sed.data.spelling import by_spelling, canonical
from efficient_sed.errors import DataError
from efficient_sed.files.folders import walk_files
from efficient_sed.files.json import parse_json
from efficient_sed.files.npz import read_arrays

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


class ScoreFolder(Mapping[str, Any]):
    """Score files below a folder by their names without the ending, each read when it is asked for.

    TSV files as sed_scores_eval writes them, or npz files as `efficient-sed detect --format npz` does.

    Raises:
        DataError: If there is no such folder, or it cannot be read, or holds something else, or nothing.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            kind = "a file" if folder.exists() else "no such folder"
            wanted = "a folder with a TSV file a clip, whose columns are onset, offset and one a class"
            raise DataError(f"scores={folder}: {kind}; needed: {wanted}")
        files = sorted(path for path in walk_files(folder, _refuse) if path.is_file() and not path.name.startswith("."))
        if other := next((path for path in files if path.suffix.lower() not in _READERS), None):
            raise DataError(f"scores={folder}: holds {other.name}, which is no TSV or npz file of scores")
        if not files:
            raise DataError(f"scores={folder}: holds no TSV or npz file of scores")
        self._files = {path.relative_to(folder).with_suffix("").as_posix(): path for path in files}
        if len(self._files) < len(files):
            raise DataError(f"scores={folder}: holds two files of one clip")

    def __getitem__(self, clip_id: str) -> _Table:
        path = self._files[clip_id]
        return _READERS[path.suffix.lower()](path)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def _refuse(error: OSError) -> None:
    raise DataError(f"scores={error.filename}: cannot be read ({error.strerror})") from error


class _Table:
    """The least that a table is, and the names of the methods that its scores went through."""

    def __init__(self, columns: Sequence[str], values: np.ndarray, applied: str = "") -> None:
        self.columns, self._values, self.applied = columns, values, applied

    def to_numpy(self) -> np.ndarray:
        return self._values


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


def _read_tsv(path: Path) -> _Table:
    """A TSV file with a header and numbers."""
    text = io.StringIO(read_text(path), newline=None)
    line, header = next(split_rows(text, "\t"), (0, []))
    text.seek(0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="loadtxt: input contained no data")
        try:
            values = np.loadtxt(text, delimiter="\t", skiprows=line, ndmin=2, comments=None)
        except ValueError as error:
            raise DataError(f"{path}: not a table of scores ({error})") from error
    if values.size == 0:
        return _Table(header, np.zeros((0, len(header))))
    if values.shape[1] != len(header):
        raise DataError(f"{path}: has {len(header)} names of columns for {values.shape[1]} columns")
    return _Table(header, values)


def _read_npz(path: Path) -> _Table:
    """A file of `score_files.write_scores`."""
    try:
        content = path.read_bytes()
        scores, classes, hop_s = read_arrays(content, ("scores", "classes", "hop_s"))
        times_s = np.arange(len(scores) + 1) * float(hop_s)
        values = np.column_stack([times_s[:-1], times_s[1:], scores])
        return _Table(["onset", "offset", *map(str, classes)], values, _applied(content))
    except (OSError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a file of scores ({error})") from error


def _applied(content: bytes) -> str:
    """Names of the methods that an npz file says its scores went through; files of before say nothing."""
    with contextlib.suppress(ValueError, LookupError, TypeError):
        (stored,) = read_arrays(content, ("postprocessing",))
        return "+".join(str(method["name"]) for method in parse_json(str(stored)))
    return ""


_READERS: Mapping[str, Callable[[Path], _Table]] = {".tsv": _read_tsv, ".npz": _read_npz}
