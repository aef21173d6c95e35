"""HDF5's heap of values of any length, looked at before the library follows it: up to version 2.0 it never returns from one that was blanked with zeros.

HDF5 file format specification 3.0, section III.E; files whose addresses do not have eight bytes, and data sets in pieces, are left to the library.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from efficient_sed.files.reading import read_at

_REFERENCE = struct.Struct("<IQI")  # length of a value, address of its collection, number of its object there
_COLLECTION = struct.Struct("<4sB3xQ")
_OBJECT = struct.Struct(
    "<HH4xQ"
)  # number, references, length; number 0 is free space, whose length counts this head too


def check_heap(dataset: Any, first: int, count: int) -> None:
    """Raise a ValueError unless the collections that hold these rows of a data set can be walked through."""
    start, base = dataset.id.get_offset(), dataset.file.userblock_size
    if start is None or dataset.file.id.get_create_plist().get_sizes() != (8, 8):
        return
    with Path(dataset.file.filename).open("rb", buffering=0) as file:
        references = read_at(file.fileno(), count * _REFERENCE.size, start + first * _REFERENCE.size)
        held = {
            address
            for length, address, _ in _REFERENCE.iter_unpack(
                references[: len(references) // _REFERENCE.size * _REFERENCE.size]
            )
            if length
        }
        for address in held:
            _walk(file.fileno(), base + address)


def _walk(file: int, begin: int) -> None:
    magic, _, size = _unpack(_COLLECTION, file, begin)
    if magic != b"GCOL":
        raise ValueError("a value's place in the file holds something else")
    position = _COLLECTION.size
    while position + _OBJECT.size <= size:
        number, _, length = _unpack(_OBJECT, file, begin + position)
        step = _OBJECT.size + -(-length // 8) * 8 if number else length
        if step == 0:
            raise ValueError("a value's place in the file is blank")
        position += step


def _unpack(form: struct.Struct, file: int, place: int) -> tuple[Any, ...]:
    data = read_at(file, form.size, place) if place < 2**63 else b""
    if len(data) < form.size:
        raise ValueError("a value's place is behind the end of the file")
    return form.unpack(data)
