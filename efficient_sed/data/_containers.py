"""Files that hold many encoded clips: HDF5 with a data set `mp3`, and Arrow data sets as `datasets.save_to_disk` writes them.

Each process opens a container on first use and keeps it open: handles must not cross a fork, nor be pickled.
Arrow files are read by pyarrow itself, without the package `datasets`: it maps the file into memory, so that a row costs one page fault
and a look at labels touches no audio; `datasets` would decode whole rows and takes a second and a half to import in every worker.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import h5py

from efficient_sed.errors import DataError, require_package

Kind = Literal["hdf5", "arrow"]
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
        for name in ("audio_name", "mp3"):
            if name not in self._file:
                raise DataError(f"{path}: data set {name!r} is missing; found: {', '.join(self._file) or 'nothing'}; needed: audio_name, mp3, target")
        self._mp3 = self._file["mp3"]
        if (names := self._file["audio_name"].shape) != self._mp3.shape:
            raise DataError(f"{path}: audio_name has shape {names}, mp3 {self._mp3.shape}; needed: one name a clip")

    def names(self) -> list[str]:
        """File names as stored, in order of rows."""
        return [name.decode() if isinstance(name, bytes) else str(name) for name in self.column("audio_name")]

    def column(self, name: str) -> Any:
        """A data set but `mp3`, read whole."""
        if name not in self._file:
            raise DataError(f"{self.path}: data set {name!r} is missing; found: {', '.join(self._file)}")
        try:
            return self._file[name][:]
        except (OSError, RuntimeError) as error:
            raise DataError(f"{self.path}: data set {name!r} is damaged ({_one_line(error)}); copy the file again") from error

    def encoded(self, row: int) -> bytes:
        """The encoded clip of one row."""
        try:
            return bytes(self._mp3[row].tobytes())
        except (OSError, RuntimeError) as error:
            raise DataError(f"damaged ({_one_line(error)}); copy the file again") from error


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
            except (OSError, pa.ArrowException) as error:
                raise DataError(f"{file}: not readable as Arrow ({_one_line(error)}); copy the data set again") from error
        try:
            self._table = pa.concat_tables(parts)
        except pa.ArrowException as error:
            raise DataError(f"{path}: its files do not fit together ({_one_line(error)})") from error
        if "filename" not in self.columns or "mp3_bytes" not in self.columns:
            raise DataError(f"{path}: columns filename and mp3_bytes are needed; found: {', '.join(self.columns) or 'none'}")

    @cached_property
    def columns(self) -> list[str]:
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
        state = json.loads((path / "state.json").read_text(encoding="utf-8"))
        files = [path / entry["filename"] for entry in state["_data_files"]]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(f"{path}: not a split of an Arrow data set (state.json: {_one_line(error)}); write it with datasets' save_to_disk") from error
    if state.get("_indices_data_files"):
        raise DataError(f"{path}: a selection of another Arrow data set; write it anew with flatten_indices() and save_to_disk")
    for file in files:
        if not file.is_file():
            raise DataError(f"{file}: no such file, though state.json names it; copy the data set again")
    return files


def open_hdf5(path: Path) -> Any:
    """An HDF5 file for reading.

    Raises:
        DataError: If it is missing, truncated or none.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"{path}: not readable as HDF5 ({_one_line(error)}); copy the file again") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
