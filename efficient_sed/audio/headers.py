"""Finding the samples of uncompressed recordings whose headers state a wrong size.

Recorders lose power before they fill in the size, it wraps at 4 GiB, and files are joined with `cat`. Only headers of
chunks are read, no samples. Formats: WAV, RF64, BW64, AIFF, Sony Wave64, CAF, AU.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from efficient_sed.errors import DataError

WRAP = 2**32  # sizes of 32 bits start from 0 again here
BLOCK = 2**20  # bytes read at once
ENDS = (b"TAG", b"ID3", b"APETAGEX", b"LYRICS")  # first bytes of what tagging software appends
_KNOWN = frozenset(
    b"LIST list bext iXML id3  ID3  cue  fact smpl inst plst JUNK junk FLLR PAD  PEAK levl mark summ axml chna _PMX "
    b"afsp COMM MARK NAME AUTH ANNO INST APPL COMT (c)  info strg uuid free"[index : index + 4]
    for index in range(0, 165, 5)
)
"""Ids of chunks that are taken for chunks even if the file ends inside them."""


class SampleRange(NamedTuple):
    """Bytes of a file that hold its samples."""

    begin: int
    end: int


class _Container(NamedTuple):
    """How the chunks of a container are written."""

    start: int
    """Where the first chunk begins."""
    id_bytes: int
    size: struct.Struct
    samples: bytes
    """Id of the chunk that holds the samples."""
    skip: int = 0
    """Bytes of that chunk before its first sample."""
    align: int = 2
    has_header_in_size: bool = False
    is_decoded_to_end: bool = False
    """Whether libsndfile takes all bytes to the end of the file for samples."""


_LITTLE, _BIG = struct.Struct("<I"), struct.Struct(">I")
_WAV = _Container(12, 4, _LITTLE, b"data")
_W64 = _Container(40, 16, struct.Struct("<Q"), b"data", align=8, has_header_in_size=True, is_decoded_to_end=True)
CONTAINERS = {
    b"RIFF": _WAV,
    b"RF64": _WAV,
    b"BW64": _WAV,
    b"RIFX": _Container(12, 4, _BIG, b"data"),
    b"FORM": _Container(12, 4, _BIG, b"SSND", skip=8),
    b"riff": _W64,
    b"caff": _Container(8, 4, struct.Struct(">Q"), b"data", skip=4, align=1),
}
AU = {b".snd": struct.Struct(">II"), b"dns.": struct.Struct("<II")}
_OTHERS = (b"fLaC", b"OggS", b".snd", b"wvpk")
_FORMS = (b"WAVE", b"AIFF", b"AIFC", b"wave")


def find_samples(name: str, file: BinaryIO, num_bytes: int) -> SampleRange | None:
    """Find the samples of a file where libsndfile would not read all of them.

    A size that is too small counts as wrong if bytes follow that are no chunk: it was never filled in, is from an
    earlier save, or has wrapped. A size that is too large does no harm: libsndfile reads what there is.

    Args:
        name: Of the file, for messages.
        file: The file, at any position.
        num_bytes: Its length.

    Returns:
        Where the samples are; None if libsndfile finds them, or for other formats.

    Raises:
        DataError: If another file of the kind follows, joined to it with `cat`.
    """
    base = skip_id3(file)
    magic = read_at(file, base, 4)
    if magic in AU:
        begin, length = AU[magic].unpack(read_at(file, base + 4, 8).ljust(8, b"\0"))
        end = base + begin + length
        if end < num_bytes and read_at(file, end, 4) in AU:
            raise joined_error(name, end)
        return SampleRange(base + begin, num_bytes) if end < num_bytes else None
    if (container := CONTAINERS.get(magic)) is None:
        return None
    long_size: int | None = None
    for chunk, begin, length in _chunks(file, container, base + container.start, num_bytes):
        if chunk == b"ds64":
            long_size = struct.unpack("<Q", read_at(file, begin + 8, 8).ljust(8, b"\0"))[0]
        if chunk.startswith(container.samples):
            is_long = long_size is not None and length == WRAP - 1
            declared = (long_size or 0) if is_long else length
            found = _find_wrong_size(name, file, container, SampleRange(begin, begin + declared), num_bytes)
            if found is None and base > 0:  # behind an ID3 tag libsndfile loses the last samples
                return SampleRange(begin + container.skip, min(begin + declared, num_bytes))
            return found
    return None


def _find_wrong_size(
    name: str, file: BinaryIO, container: _Container, declared: SampleRange, num_bytes: int
) -> SampleRange | None:
    """Where the samples of a chunk are, if the size that it declares is wrong."""
    begin, end = declared.begin + container.skip, declared.end
    if end >= num_bytes:
        return None
    behind = read_at(file, end, 12)
    is_mp3 = behind.startswith(b"ID3") and skip_id3(file, end) < num_bytes - 256  # a tag alone would end with the file
    if behind[:4] in _OTHERS or behind[4:8] == b"ftyp" or is_mp3:
        raise joined_error(name, end)
    is_unused = begin < end and num_bytes < WRAP and is_zero(file, end, num_bytes)  # reserved space
    if is_unused or _ends_in_chunks(name, file, container, end, num_bytes):
        return SampleRange(begin, end) if container.is_decoded_to_end else None
    for wrapped_end in range(end + WRAP, num_bytes, WRAP):
        if _ends_in_chunks(name, file, container, wrapped_end, num_bytes):
            return SampleRange(begin, wrapped_end)
    return SampleRange(begin, num_bytes)


def _chunks(file: BinaryIO, container: _Container, position: int, num_bytes: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield id, first byte and length of the chunks from a position on, until bytes are no chunk."""
    header_bytes = container.id_bytes + container.size.size
    while position + header_bytes <= num_bytes:
        header = read_at(file, position, header_bytes)
        chunk, (length,) = header[: container.id_bytes], container.size.unpack(header[container.id_bytes :])
        length -= header_bytes if container.has_header_in_size else 0
        if length < 0 or not all(32 <= byte < 127 for byte in chunk[:4]):
            return
        yield chunk, position + header_bytes, length
        position += header_bytes + length
        position += -position % container.align


def _ends_in_chunks(name: str, file: BinaryIO, container: _Container, position: int, num_bytes: int) -> bool:
    """Whether only chunks and tags follow a position; some writers leave out the byte that makes it even."""
    for begin in {position, position + -position % container.align}:
        if read_at(file, begin, 8).startswith(ENDS):
            return True
        end = begin
        is_cut = False
        for chunk, first, length in _chunks(file, container, begin, num_bytes):
            is_form = read_at(file, first, 4) in _FORMS
            if chunk == b"caff" or (chunk[:4] in CONTAINERS and is_form):
                raise joined_error(name, begin)
            end = first + length
            is_cut = end > num_bytes and chunk[:4] in _KNOWN
        if is_cut or abs(num_bytes - end) < container.align or (begin < end == num_bytes):
            return True
        if end < num_bytes and read_at(file, end, 8).startswith(ENDS):
            return True
    return False


def joined_error(name: str, place: int) -> DataError:
    """Create the error for a file in which another recording begins at a byte; it says how to split them."""
    suffix = Path(name).suffix
    split = f"split them: head -c {place} IN > first{suffix}; tail -c +{place + 1} IN > second{suffix}"
    return DataError(f"{name}: another recording is joined to this one at byte {place}; {split}")


def skip_id3(file: BinaryIO, position: int = 0) -> int:
    """Find the end of ID3v2 tags at a position; their size is four times seven bits."""
    while (tag := read_at(file, position, 10))[:3] == b"ID3" and len(tag) == 10:
        position += 10 + sum((byte & 0x7F) << 7 * (3 - index) for index, byte in enumerate(tag[6:]))
    return position


def read_at(file: BinaryIO, position: int, count: int) -> bytes:
    """Read bytes from a position on; fewer at the end of the file."""
    file.seek(max(0, position), os.SEEK_SET)
    return file.read(count)


def is_zero(file: BinaryIO, begin: int, end: int) -> bool:
    """Whether all bytes between two positions are zero."""
    return all(not any(read_at(file, first, min(BLOCK, end - first))) for first in range(begin, end, BLOCK))
