"""Logits that are not yet in a file of pseudo-labels, as a journal.

Records are only ever appended, so that a kill at any time costs the last one at most.

HDF5 itself cannot promise that: a file that was being written to may not open again.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from efficient_sed.errors import DataError
from efficient_sed.files.json import parse_json
from efficient_sed.files.locks import locked

_RECORD = struct.Struct("<4sHII")  # magic, bytes of the name, frames, checksum
_MAGIC = b"clip"
_SYNC_EVERY = 64
_FREE = {"versions"}  # what may change between two starts


class _Entry(NamedTuple):
    num_frames: int
    position: int


class Journal:
    """An open journal; made by `open_journal`.

    Args:
        header: What the records were made from.
    """

    def __init__(self, file: BinaryIO, header: Mapping[str, Any]) -> None:
        self._file, self._num_classes = file, len(header["classes"])
        self._entries: dict[str, _Entry] = {}
        self._recover()

    def __contains__(self, clip_id: str) -> bool:
        return clip_id in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def frames(self) -> list[int]:
        """Of each clip."""
        return [entry.num_frames for entry in self._entries.values()]

    def append(self, clip_id: str, logits: np.ndarray) -> None:
        """Add the logits (classes, frames), float16, of a clip."""
        name, data = clip_id.encode(), logits.tobytes()
        self._file.write(_RECORD.pack(_MAGIC, len(name), logits.shape[1], zlib.crc32(name + data)) + name)
        self._entries[clip_id] = _Entry(logits.shape[1], self._file.tell())
        self._file.write(data)
        self._file.flush()
        if len(self) % _SYNC_EVERY == 0:
            os.fsync(self._file.fileno())

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        for clip_id, entry in self._entries.items():
            self._file.seek(entry.position)
            yield (
                clip_id,
                np.frombuffer(self._file.read(2 * self._num_classes * entry.num_frames), np.float16).reshape(
                    self._num_classes, -1
                ),
            )

    def _recover(self) -> None:
        """Read all records, and cut off what follows the last whole one."""
        end = os.fstat(self._file.fileno()).st_size
        while True:
            start = self._file.tell()
            head = self._file.read(_RECORD.size)
            if len(head) < _RECORD.size:
                break
            magic, name_length, num_frames, checksum = _RECORD.unpack(head)
            name, position = self._file.read(name_length), self._file.tell()
            size = 2 * self._num_classes * num_frames
            if not (name_length and num_frames):  # zeros that a disk left have the checksum of nothing
                break
            if magic != _MAGIC or position + size > end or zlib.crc32(name + self._file.read(size)) != checksum:
                break
            self._entries[name.decode()] = _Entry(num_frames, position)
        self._file.seek(start)
        self._file.truncate()


@contextlib.contextmanager
def open_journal(path: Path, header: Mapping[str, Any]) -> Iterator[Journal]:
    """Begin a journal, or go on with the one that is there.

    Raises:
        DataError: If it was begun with another header, another process writes to it, or it is something else.
    """
    line = json.dumps(header).encode() + b"\n"
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(path.with_name(f".{path.name}.lock"), waits=False))
        except TimeoutError as error:
            raise DataError(f"{path}: another process is writing it; wait for it or stop it") from error
        path.touch()
        with path.open("r+b") as file:
            begun = file.readline()
            if not begun.endswith(b"\n") and line.startswith(begun[:20]):  # new, or killed within its first line
                file.seek(0)
                file.truncate()
                file.write(line)
                file.flush()
            else:
                check_same_header(path, begun, header)
            yield Journal(file, header)


def check_same_header(path: Path, begun: bytes | str, header: Mapping[str, Any]) -> None:
    """Raise a DataError unless `begun`, as JSON, says what `header` says."""
    try:
        other = parse_json(begun)
        changed = [key for key in header if key not in _FREE and other[key] != header[key]]
        others = len(other["classes"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not written by this command; delete it or give another name") from error
    if changed:
        key = changed[0]
        values = f"{others} others" if key == "classes" else f"{other[key]}, now {header[key]}"
        raise DataError(
            f"{path}: was begun with {key}={values}; give what it was begun with, delete it, or write to another file"
        )
