"""Files that hold many encoded clips: HDF5 with a data set `mp3`, and Arrow data sets written by `save_to_disk`.

Each process opens a container on first use and keeps it open: handles must not cross a fork, nor be pickled. pyarrow
reads Arrow files without the package `datasets`, which decodes whole rows and takes long to import in every worker.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from efficient_sed.errors import DataError, require_package
from efficient_sed.files.json import parse_json
from efficient_sed.files.npz import check_unpacked

Kind = Literal["hdf5", "arrow"]
# what h5py raises of damaged files
HDF5_ERRORS = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError)
_opened: dict[tuple[int, str, Path], Any] = {}


def opened(path: Path, kind: str, opener: Callable[[Path], Any]) -> Any:
    """What `opener` makes of the path, once per process."""
    key = (os.getpid(), kind, path)
    if key not in _opened:
        _opened[key] = opener(path)
    return _opened[key]


def forget(path: Path) -> None:
    """Open a container anew the next time: it may have been replaced."""
    for key in [key for key in list(_opened) if key[0] == os.getpid() and key[2] == path]:
        _opened.pop(key, None)


def open_container(kind: Kind, path: Path) -> Hdf5Container | ArrowContainer:
    """A container of encoded clips, opened by this process.

    Raises:
        DataError: If it cannot be read; the message names it.
    """
    container: Hdf5Container | ArrowContainer = opened(path, kind, Hdf5Container if kind == "hdf5" else ArrowContainer)
    return container


class Hdf5Container:
    """Rows of the data sets `audio_name`, `mp3` (variable-length uint8) and `target` (packed bits)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = open_hdf5(path)
        names, self._mp3 = (self._stored(name, stored_data) for name in ("audio_name", "mp3"))
        if names.shape != self._mp3.shape or names.ndim != 1:
            raise DataError(
                f"{path}: audio_name has shape {names.shape}, mp3 {self._mp3.shape}; needed: one name a clip"
            )

    def _stored(self, name: str, read: Callable[[Any, str], Any]) -> Any:
        try:
            if name not in self._file:
                found = ", ".join(self._file) or "nothing"
                raise DataError(
                    f"{self.path}: data set {name!r} is missing; found: {found}; needed: audio_name, mp3, target"
                )
            return read(self._file, name)
        except HDF5_ERRORS as error:
            raise DataError(
                f"{self.path}: data set {name!r} is damaged ({one_line(error)}); copy the file again"
            ) from error

    def names(self) -> list[str]:
        """File names as stored, in order of rows."""
        return list(self._stored("audio_name", lambda file, name: texts(read_whole(file, name))))

    def column(self, name: str) -> Any:
        """A data set but `mp3`, read whole."""
        return self._stored(name, read_whole)

    def encoded(self, row: int) -> bytes:
        """The encoded clip of one row."""
        try:
            samples = self._mp3[row]
            if samples.dtype != np.uint8:
                raise ValueError(f"mp3 holds {samples.dtype}, no bytes")
            return bytes(samples.tobytes())
        except HDF5_ERRORS as error:
            raise DataError(f"damaged ({one_line(error)}); copy the file again") from error


class ArrowContainer:
    """One split of an Arrow data set: a folder with `state.json` and the files it names."""

    def __init__(self, path: Path) -> None:
        require_package("an Arrow data set", "pyarrow", "data")
        import pyarrow as pa

        self.path = path
        parts = []
        for file in arrow_files(path):
            try:
                with pa.memory_map(str(file)) as mapped:
                    parts.append(pa.ipc.open_stream(mapped).read_all())
                parts[-1].validate(full=True)  # else a wrong offset would be followed wherever it points
            except (OSError, UnicodeDecodeError, pa.ArrowException) as error:  # a column's name may be no text
                raise DataError(
                    f"{file}: not readable as Arrow ({one_line(error)}); copy the data set again"
                ) from error
        try:
            self._table = pa.concat_tables(parts)
        except pa.ArrowException as error:
            raise DataError(f"{path}: its files do not fit together ({one_line(error)})") from error
        if "filename" not in self.columns or "mp3_bytes" not in self.columns:
            raise DataError(
                f"{path}: columns filename and mp3_bytes are needed; found: {', '.join(self.columns) or 'none'}"
            )
        kinds = {name: self._table.schema.field(name).type for name in ("filename", "mp3_bytes")}
        if kinds["filename"] not in (pa.string(), pa.large_string()) or kinds["mp3_bytes"] not in (
            pa.binary(),
            pa.large_binary(),
        ):
            raise DataError(
                f"{path}: filename holds {kinds['filename']} and mp3_bytes {kinds['mp3_bytes']}; needed: string and "
                "binary"
            )

    @cached_property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self._table.column_names)

    def names(self) -> list[str]:
        """File names as stored, in order of rows."""
        return [str(name) for name in self.column("filename")]

    def column(self, name: str) -> list[Any]:
        """A column as plain values."""
        if name not in self.columns:
            raise DataError(f"{self.path}: column {name!r} is missing; found: {', '.join(self.columns)}")
        return list(self._table.column(name).to_pylist())

    def encoded(self, row: int) -> bytes:
        """The encoded clip of one row; empty for a missing one."""
        return self._table.column("mp3_bytes")[row].as_py() or b""


def arrow_files(path: Path) -> Sequence[Path]:
    """The data files of a split, in order.

    Raises:
        DataError: If the split is not complete.
    """
    try:
        state = parse_json((path / "state.json").read_text(encoding="utf-8"))
        names = [entry["filename"] for entry in state["_data_files"]]
        files = [path / name for name in names]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(
            f"{path}: not a split of an Arrow data set (state.json: {one_line(error)}); write it with datasets' "
            "save_to_disk"
        ) from error
    if outside := [name for name in names if Path(name).name != name or name in ("", "..")]:
        raise DataError(f"{path}: state.json names {outside[0]!r}, which is no file of this folder")
    if state.get("_indices_data_files"):
        raise DataError(
            f"{path}: a selection of another Arrow data set; write it anew with flatten_indices() and save_to_disk"
        )
    for file in files:
        try:
            is_there = file.is_file()
        except OSError:  # a name that is too long
            is_there = False
        if not is_there:
            raise DataError(f"{file}: no such file, though state.json names it; copy the data set again")
    return files


def stored_data(file: Any, name: str) -> Any:
    """A data set of an opened HDF5 file whose values lie in the file itself.

    HDF5 follows links and storage to wherever they point.

    Raises:
        One of HDF5_ERRORS: If it is missing, a group, lies elsewhere, or is stored in pieces too large to read one.
    """
    import h5py

    if name in file and not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name!r} is a link to elsewhere")
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise ValueError(f"{name!r} is no array")
    if dataset.is_virtual or dataset.external:
        raise ValueError(f"{name!r} lies in another file")
    if dataset.chunks is not None:
        check_unpacked(math.prod(dataset.chunks) * dataset.dtype.itemsize, 0)
    return dataset


def read_whole(file: Any, name: str) -> Any:
    """All values of a list or table in an HDF5 file.

    Raises:
        One of HDF5_ERRORS: As `stored_data`, if it is a single value, or if it would take far more memory than the file
        has bytes.
    """
    dataset = stored_data(file, name)
    check_unpacked(dataset.nbytes, Path(file.filename).stat().st_size)
    return dataset[:]


def texts(values: Any) -> list[str]:
    """Texts of an array of bytes or strings.

    Raises:
        UnicodeDecodeError, ValueError: If they are something else.
    """
    if values.ndim != 1 or values.dtype.kind not in "SO":
        raise ValueError(f"{values.dtype} of shape {values.shape} is no list of texts")
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values.tolist()]


def open_hdf5(path: Path) -> Any:
    """An HDF5 file for reading.

    Raises:
        DataError: If it is missing, truncated or none.
    """
    import h5py

    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        return h5py.File(path, "r")
    except HDF5_ERRORS as error:
        raise DataError(f"{path}: not readable as HDF5 ({one_line(error)}); copy the file again") from error


def one_line(error: Exception) -> str:
    """The message of an error, in one line."""
    return " ".join(str(error).split())
