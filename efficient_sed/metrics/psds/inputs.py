"""What `psds1` takes besides mappings of arrays: score tables of sed_scores_eval, folders of them, tables of events.

A table is a TSV file, or anything with `columns` and `to_numpy()` such as a pandas DataFrame; pandas is not needed.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from efficient_sed.audio.encoded import SUFFIXES
from efficient_sed.data.annotations.contract import reading_format
from efficient_sed.data.annotations.tables import (
    check_hard,
    log_unused,
    read_table,
    read_text,
    soft_columns,
    split_rows,
)
from efficient_sed.data.annotations.tsv import EVENT_COLUMNS
from efficient_sed.data.events import Event
from efficient_sed.data.spelling import by_spelling, canonical
from efficient_sed.errors import DataError
from efficient_sed.files.folders import walk_files
from efficient_sed.files.npz import read_arrays

MAX_TIME_ERROR_S = 1e-5  # of a table's onsets and offsets: they are rounded when they are written
DURATION_COLUMNS = ("filename", "duration")


def open_scores(scores: Any) -> Mapping[str, Any]:
    """Arrays or score tables by clip, from a mapping of them, or a folder with a TSV file a clip.

    Raises:
        DataError: If it is something else.
    """
    if isinstance(scores, str | PathLike):
        return ScoreFolder(Path(scores))
    return _require_mapping("scores", scores, "an array (frames, classes) or a score table; or a folder of such tables")


def to_array(clip_id: str, scores: Any, classes: Sequence[str], frame_hop_s: float, duration_s: float) -> Any:
    """Scores (frames, classes) of a score table; anything else as it is.

    Raises:
        DataError: If the table has other columns or frames; the message names clip and row.
    """
    if not _is_table(scores):
        return scores
    where, spelled = f"clip {clip_id!r}", by_spelling(classes)
    columns = [spelled.get(canonical(name), name) if isinstance(name, str) else name for name in scores.columns]
    _check_columns(where, columns, ("onset", "offset", *classes))
    if unknown := [column for column in columns if column not in {"onset", "offset", *classes}]:
        which = f"{unknown[0]!r}, which is none of the {len(classes)} classes"
        raise DataError(f"{where}: its table has the column {which}")
    try:
        values = np.asarray(scores.to_numpy(), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: its table holds something else than numbers ({error})") from error
    onsets_s, offsets_s = (values[:, columns.index(name)] for name in ("onset", "offset"))
    _check_frames(where, onsets_s, offsets_s, frame_hop_s, duration_s)
    return values[:, [columns.index(label) for label in classes]]


def read_ground_truth(ground_truth: Any, clip_ids: Sequence[str]) -> Mapping[str, Sequence[Sequence[Any]]]:
    """Events by clip, from a mapping of them, or a table with a row an event, where clips that it lacks have none.

    Raises:
        DataError: If it is something else, or a table has other columns or names a clip without scores.
    """
    if isinstance(ground_truth, str | PathLike):
        by_name: Mapping[str, Sequence[Event]] = reading_format(Path(ground_truth)).parse(Path(ground_truth))
    elif _is_table(ground_truth):
        by_name = _events_of_table(ground_truth)
    else:
        of_clip = "its events (onset_s, offset_s, label)"
        mapping = _require_mapping("ground_truth", ground_truth, of_clip, EVENT_COLUMNS)
        return _by_clip("ground_truth", mapping, clip_ids)
    find = _clip_finder("ground_truth", clip_ids)
    events: dict[str, list[Event]] = {clip_id: [] for clip_id in clip_ids}
    for name, own in by_name.items():
        events[find(name)] += own
    return events


def read_durations(durations: Any, clip_ids: Sequence[str]) -> Mapping[str, float]:
    """Seconds by clip, from a mapping of them, or a table with a row a clip.

    Raises:
        DataError: If it is something else, or a table has other columns or names a clip without scores, or one twice.
    """
    if isinstance(durations, str | PathLike):
        path = Path(durations)
        table = read_table(path, read_text(path), DURATION_COLUMNS, delimiter="\t")
        rows = [(row["filename"], row["duration"]) for _, row in table]
    elif _is_table(durations):
        rows = _rows("durations", durations, DURATION_COLUMNS)
    else:
        mapping = _require_mapping("durations", durations, "its length in seconds", DURATION_COLUMNS)
        return _by_clip("durations", mapping, clip_ids)
    find = _clip_finder("durations", clip_ids)
    by_clip: dict[str, float] = {}
    for name, value in rows:
        try:
            duration_s = float(value)
        except (TypeError, ValueError):
            raise DataError(f"durations: {name!r} has duration {value!r}; needed: seconds") from None
        if by_clip.setdefault(find(name), duration_s) != duration_s:
            raise DataError(f"durations: {name!r} is there twice, with {by_clip[find(name)]:g} s and {duration_s:g} s")
    return by_clip


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
    """The least that a table is."""

    def __init__(self, columns: Sequence[str], values: np.ndarray) -> None:
        self.columns, self._values = columns, values

    def to_numpy(self) -> np.ndarray:
        return self._values


def _is_table(value: Any) -> bool:
    return hasattr(value, "columns") and hasattr(value, "to_numpy")


def _require_mapping(name: str, value: Any, of_clip: str, columns: Sequence[str] = ()) -> Mapping[str, Any]:
    """The value, if it gives something by clip."""
    if not _is_table(value) and hasattr(value, "keys") and hasattr(value, "__getitem__"):
        return value  # type: ignore[no-any-return]
    table = f", or a table or TSV file with the columns {', '.join(columns)}" if columns else ""
    raise DataError(f"{name} is a {type(value).__name__}; needed: a mapping from clip to {of_clip}{table}")


def _check_frames(where: str, onsets_s: np.ndarray, offsets_s: np.ndarray, hop_s: float, duration_s: float) -> None:
    """Raise a DataError unless row k covers [k, k + 1) * hop_s; the last one may end with the clip."""
    begins_s, ends_s = np.arange(len(onsets_s)) * hop_s, np.arange(1, len(onsets_s) + 1) * hop_s
    is_right = (np.abs(onsets_s - begins_s) <= MAX_TIME_ERROR_S) & (np.abs(offsets_s - ends_s) <= MAX_TIME_ERROR_S)
    if len(is_right) and onsets_s[-1] < offsets_s[-1]:
        is_right[-1] |= np.abs(onsets_s[-1] - begins_s[-1]) <= MAX_TIME_ERROR_S >= np.abs(offsets_s[-1] - duration_s)
    if is_right.all():
        return
    row = int(np.argmin(is_right))
    meant = f"; is frame_hop_s={offsets_s[0]:g} meant?" if row == 0 and onsets_s[0] == 0 < offsets_s[0] else ""
    raise DataError(
        f"{where}: row {row + 1} of its table covers {onsets_s[row]:g} to {offsets_s[row]:g} s; "
        f"with frame_hop_s={hop_s:g} it must cover {begins_s[row]:g} to {ends_s[row]:g} s{meant}"
    )


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
        scores, classes, hop_s = read_arrays(path.read_bytes(), ("scores", "classes", "hop_s"))
        times_s = np.arange(len(scores) + 1) * float(hop_s)
        return _Table(["onset", "offset", *map(str, classes)], np.column_stack([times_s[:-1], times_s[1:], scores]))
    except (OSError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a file of scores ({error})") from error


_READERS: Mapping[str, Callable[[Path], _Table]] = {".tsv": _read_tsv, ".npz": _read_npz}


def _events_of_table(table: Any) -> dict[str, list[Event]]:
    """Events by file name; a row without times and label is a clip without events."""
    by_name: dict[str, list[Event]] = {}
    header = [column for column in table.columns if isinstance(column, str)]
    soft = soft_columns(header)
    log_unused("ground_truth", header, EVENT_COLUMNS)
    rows = _rows("ground_truth", table, (*EVENT_COLUMNS, *soft))
    for number, (name, onset_s, offset_s, label, *weights) in enumerate(rows, 1):
        place = f"ground_truth: row {number}, {name!r}"
        if _is_missing(name):
            raise DataError(f"ground_truth: row {number}: the filename is empty")
        for column, weight in zip(soft, weights, strict=True):
            check_hard(place, column, None if _is_missing(weight) else weight)
        events = by_name.setdefault(str(name), [])
        if isinstance(label, str) and label.strip():
            events.append(Event(onset_s, offset_s, label.strip()))
        elif isinstance(label, str) or _is_missing(label):
            if not (_is_missing(onset_s) and _is_missing(offset_s)):
                raise DataError(f"{place}: onset without event_label")
        else:
            raise DataError(f"{place}: event_label is {label!r}; labels are text")
    return by_name


def _is_missing(value: Any) -> bool:
    """None, empty text, NaN or NA, as pandas reads an empty field."""
    return value is None or type(value).__name__ == "NAType" or value == "" or value != value  # noqa: PLR0124 (NaN)


def _rows(where: str, table: Any, wanted: Sequence[str]) -> list[tuple[Any, ...]]:
    columns = list(table.columns)
    _check_columns(where, columns, wanted)
    return list(zip(*(np.asarray(table[column]).tolist() for column in wanted), strict=True))


def _check_columns(where: str, columns: Sequence[Any], wanted: Sequence[str]) -> None:
    for column in wanted:
        if (count := columns.count(column)) != 1:
            found = ", ".join(map(str, columns[:8])) + (", …" if len(columns) > 8 else "")
            problem = "missing" if count == 0 else "there twice"
            raise DataError(f"{where}: the column {column!r} is {problem}; found: {found}")


def _by_clip(what: str, values: Mapping[str, Any], clip_ids: Sequence[str]) -> Mapping[str, Any]:
    """The same values under the names of clips as they are spelled in the scores."""
    names = by_spelling(values.keys(), f"{what}: ")
    spelled = by_spelling(clip_ids, "scores: ")
    return {spelled.get(key, name): values[name] for key, name in names.items()}


def _clip_finder(what: str, clip_ids: Sequence[str]) -> Callable[[str], str]:
    """From a file name in a table to the clip that has scores.

    Their names are the same, but one of them may lack the ending of an audio file.
    """
    by_name: dict[str, str] = {str(spelled): clip_id for spelled, clip_id in by_spelling(clip_ids, "scores: ").items()}
    by_stem: dict[str, list[str]] = {}
    for spelled, clip_id in by_name.items():
        by_stem.setdefault(_stem(spelled), []).append(clip_id)
    found: dict[str, str] = {}

    def find(name: str) -> str:
        key = PurePosixPath(canonical(str(name))).as_posix()
        stem = _stem(key)
        if key in by_name:
            clips = {by_name[key]}
        else:
            clips = {*by_stem.get(key, ()), *([by_name[stem]] if stem in by_name else ())}
        if not clips:
            raise DataError(f"{what} names the file {name!r}, of which there are no scores")
        if len(clips) > 1:
            either = " or ".join(map(repr, sorted(clips)))
            raise DataError(f"{what} names the file {name!r}, which may be {either} of the scores")
        (clip_id,) = clips
        if (other := found.setdefault(clip_id, key)) != key:
            raise DataError(f"{what} names the files {other!r} and {key!r}, but there are scores of {clip_id!r} alone")
        return clip_id

    return find


def _stem(name: str) -> str:
    """A name without the ending of an audio file."""
    path = PurePosixPath(name)
    return path.with_suffix("").as_posix() if path.suffix.lower() in SUFFIXES else name
