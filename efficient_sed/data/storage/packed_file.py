"""Ranges of the data sets of an HDF5 file, read where they lie: nothing stays in memory, and no lock is taken.

A file may be read by many nodes over a network file system. HDF5 therefore reads only the header, and a read that
fails for the moment is tried again. (Memory maps would kill the process when the network fails.)
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from efficient_sed.data.storage.containers import HDF5_ERRORS, forget, one_line, opened
from efficient_sed.errors import DataError

logger = logging.getLogger(__name__)
T = TypeVar("T")
_SEEK_LOCK = threading.Lock()
FORMAT, VERSION = "efficient_sed packed", 2
INDEX_NAME, SHARD_NAME = "index.h5", "shard_{:05d}.h5"
PASSING = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.ENOLINK, errno.EHOSTDOWN, errno.ECONNRESET)
PAUSES_S = (0.1, 1.0, 5.0)  # before the second, third and last time


class Place(NamedTuple):
    """Where a data set lies in its file."""

    offset: int
    dtype: np.dtype[Any]
    length: int


class PackedFile:
    """One opened file.

    Raises:
        DataError: If it is none of ours, truncated, or of another version.
        OSError: If it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        import h5py

        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))  # of Windows
        weakref.finalize(self, os.close, self._descriptor)
        status = os.fstat(self._descriptor)
        self.stamp = (status.st_size, status.st_mtime_ns)
        try:
            with open(self._descriptor, "rb", buffering=0, closefd=False) as file, h5py.File(file, "r") as header:
                self.attributes = dict(header.attrs)
                self.places = {
                    name: _place(name, dataset, status.st_size)
                    for name, dataset in header.items()
                    if isinstance(dataset, h5py.Dataset)
                }
        except (*HDF5_ERRORS, OverflowError) as error:  # OverflowError: an address beyond 64 bits
            if getattr(error, "errno", None) in PASSING:
                raise
            raise DataError(f"{path}: not readable as HDF5 ({one_line(error)}); copy the file again") from error
        form, version = self.attributes.get("format"), self.attributes.get("version")
        if form != FORMAT:
            raise DataError(f"{path}: an HDF5 file, but not one that `efficient-sed data pack` wrote")
        if version != VERSION:
            raise DataError(
                f"{path}: packed in version {version} of the format, this is for version {VERSION}; pack the data set "
                "again"
            )

    def read(self, name: str, first: int, last: int) -> np.ndarray:
        """Entries of a data set from one to another.

        Raises:
            OSError: If the file cannot be read now.
            ValueError: If they are not there.
        """
        place = self.places[name]
        if not 0 <= first <= last <= place.length:
            raise ValueError(f"entries {first} to {last} of {name!r}, which has {place.length}")
        size = place.dtype.itemsize
        wanted, position = (last - first) * size, place.offset + first * size
        data = b""
        while len(data) < wanted:  # the kernel gives at most 2 GiB at once
            more = _read_at(self._descriptor, wanted - len(data), position + len(data))
            if not more:
                raise ValueError(f"the file ends within {name!r}")
            data = data + more if data else more
        return np.frombuffer(data, place.dtype)


def _read_at(descriptor: int, size: int, position: int) -> bytes:
    """`os.pread`, which Windows lacks."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, position)
    with _SEEK_LOCK:  # threads share the position of the file
        os.lseek(descriptor, position, os.SEEK_SET)
        return os.read(descriptor, size)


def is_packed(path: Path) -> bool:
    """Whether it is a packed data set in one file, of any version; neither an index nor a shard of one."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return bool(file.attrs.get("format") == FORMAT) and {"id", "samples"} <= file.keys()
    except HDF5_ERRORS:
        return False


class PackedPath(NamedTuple):
    """A packed file by name, as it was when the data set was loaded; crosses process borders."""

    path: Path
    stamp: tuple[int, int]
    """Its size and time of change."""

    def __str__(self) -> str:
        return str(self.path)

    def read(self, name: str, first: int, last: int, wanted_by: str) -> np.ndarray:
        """Entries of a data set from one to another.

        Args:
            name: Of the data set.
            first: Number of the first entry.
            last: Number behind the last entry.
            wanted_by: What messages call it.

        Raises:
            DataError: If they cannot be read, or the file has changed since it was loaded.
        """
        return _retry(lambda: self._opened().read(name, first, last), self.path, wanted_by)

    def _opened(self) -> PackedFile:
        file: PackedFile = opened(self.path, "packed", PackedFile)
        if file.stamp != self.stamp:
            raise DataError(
                f"{self.path}: was replaced since these data were loaded; start again, and give a packed file that is "
                "in use another name"
            )
        return file


def open_packed(path: Path) -> tuple[PackedFile, PackedPath]:
    """A packed file as it is now.

    Raises:
        DataError: As `PackedFile`, or if it cannot be opened.
    """
    forget(path)
    file: PackedFile = _retry(lambda: opened(path, "packed", PackedFile), path, str(path))
    return file, PackedPath(path, file.stamp)


def _retry(work: Callable[[], T], path: Path, wanted_by: str) -> T:
    """The result of reading a file, tried again after a failure of the file system that may pass.

    Raises:
        DataError: If it fails each time, or for a reason that stays.
    """
    for pause_s in PAUSES_S:
        try:
            return _call(work, wanted_by)
        except OSError as error:
            logger.warning("%s: %s; trying again in %g s", wanted_by, error.strerror, pause_s)
            time.sleep(pause_s)
            forget(path)  # a handle that went stale stays so
    try:
        return _call(work, wanted_by)
    except OSError as error:
        raise DataError(
            f"{wanted_by}: cannot be read ({error.strerror}), tried {len(PAUSES_S) + 1} times; is its file system "
            "there?"
        ) from error


def _call(work: Callable[[], T], wanted_by: str) -> T:
    """The result of reading a file once.

    Raises:
        OSError: For a failure that may pass.
        DataError: For one that stays.
    """
    try:
        return work()
    except OSError as error:
        if error.errno in PASSING:
            raise
        raise DataError(f"{wanted_by}: cannot be read ({error.strerror})") from error
    except (LookupError, ValueError) as error:
        raise DataError(f"{wanted_by}: damaged ({error}); pack the data set again") from error


def _place(name: str, dataset: Any, file_size: int) -> Place:
    offset = dataset.id.get_offset()
    if dataset.ndim != 1 or (offset is None and dataset.size):
        raise ValueError(f"{name!r} is not one contiguous row of entries")
    place = Place(offset or 0, dataset.dtype, dataset.size)
    if place.offset + place.length * place.dtype.itemsize > file_size:
        raise ValueError(f"the file ends within {name!r}")
    return place
