"""Score tables in the files of a folder."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from efficient_sed.data.annotations.tables import read_text, split_rows
from efficient_sed.errors import DataError
from efficient_sed.files.folders import walk_files
from efficient_sed.files.npz import read_arrays


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

    def __getitem__(self, clip_id: str) -> FileTable:
        path = self._files[clip_id]
        return _READERS[path.suffix.lower()](path)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def _refuse(error: OSError) -> None:
    raise DataError(f"scores={error.filename}: cannot be read ({error.strerror})") from error


class FileTable:
    """The least that a table is.

    Args:
        columns: Their names.
        values: Shape (rows, columns).
        applied: Names of the methods that were applied to its scores, as far as the file says.
    """

    def __init__(self, columns: Sequence[str], values: np.ndarray, applied: Sequence[str] = ()) -> None:
        self.columns, self._values, self.applied = columns, values, applied

    def to_numpy(self) -> np.ndarray:
        """The values, as pandas gives them."""
        return self._values


def _read_tsv(path: Path) -> FileTable:
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
        return FileTable(header, np.zeros((0, len(header))))
    if values.shape[1] != len(header):
        raise DataError(f"{path}: has {len(header)} names of columns for {values.shape[1]} columns")
    return FileTable(header, values)


def _read_npz(path: Path) -> FileTable:
    """A file of `score_files.write_scores`."""
    try:
        content = path.read_bytes()
        scores, classes, hop_s = read_arrays(content, ("scores", "classes", "hop_s"))
        times_s = np.arange(len(scores) + 1) * float(hop_s)
        values = np.column_stack([times_s[:-1], times_s[1:], scores])
    except (OSError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a file of scores ({error})") from error
    return FileTable(["onset", "offset", *map(str, classes)], values, _applied(content))


def _applied(content: bytes) -> list[str]:
    """Names of the methods that an npz file says were applied; none where it says nothing."""
    try:
        (stored,) = read_arrays(content, ("postprocessing",))
        return [method["name"] for method in json.loads(str(stored))]
    except (LookupError, TypeError, ValueError):
        return []


_READERS: Mapping[str, Callable[[Path], FileTable]] = {".tsv": _read_tsv, ".npz": _read_npz}
