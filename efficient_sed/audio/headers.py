"""Whether the header of a recording tells its length, and where the samples lie if it does not.

A header is a promise: recorders lose power before they fill in a size, sizes wrap at 4 GiB, files are joined with `cat`, and MP3 has
no length at all without a Xing frame (http://gabriel.mp3-tech.org/mp3infotag.html). Everything here reads little and decodes nothing.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from efficient_sed.errors import DataError

WRAP = 2**32  # where sizes of 32 bits begin anew
_BLOCK = 2**20


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


_LITTLE, _BIG = struct.Struct("<I"), struct.Struct(">I")
_WAV = _Container(12, 4, _LITTLE, b"data")
_CONTAINERS = {
    b"RIFF": _WAV,
    b"RIFX": _Container(12, 4, _BIG, b"data"),
    b"RF64": _WAV,
    b"BW64": _WAV,
    b"FORM": _Container(12, 4, _BIG, b"SSND", skip=8),
    b"riff": _Container(40, 16, struct.Struct("<Q"), b"data", align=8, has_header_in_size=True),  # Sony Wave64
    b"caff": _Container(8, 4, struct.Struct(">Q"), b"data", skip=4, align=1),
}
_TAGS = (b"TAG", b"ID3", b"APETAGEX", b"LYRICS")  # what taggers put behind the last chunk
_XING_OFFSETS = {
    (3, False): 36,
    (3, True): 21,
    (2, False): 21,
    (2, True): 13,
    (0, False): 21,
    (0, True): 13,
}  # by version, is mono
_FLAC_START = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
_ASF = bytes.fromhex("3026b2758e66cf11")
_TAG_BYTES = 128  # of ID3v1
_MIN_FRAME_BYTES, _MAX_FRAME_BYTES = 24, 1441  # 8 kbit/s at 24 kHz, 320 kbit/s at 32 kHz


def find_samples(name: str, file: BinaryIO, num_bytes: int, bytes_per_second: int = 0) -> SampleRange | None:
    """Where the samples of a WAV, AIFF, Wave64, CAF or AU file lie if its header is wrong about that; None if it is right.

    A size of the header that is too small counts as wrong if something follows that is no chunk: it was never filled in, is from an
    earlier save, or has wrapped. One that is too large is right: what there is counts.

    Args:
        name: For messages.
        file: The file, at any position.
        num_bytes: Its length.
        bytes_per_second: Of samples; a rest of less than 10 ms is ignored.

    Raises:
        DataError: If another file of the kind follows, joined to it with `cat`.
    """
    magic = _at(file, 0, 4)
    _check_joined(name, file, num_bytes)
    if magic == b".snd":
        begin, length = struct.unpack(">II", _at(file, 4, 8).ljust(8, b"\0"))
        return SampleRange(begin, num_bytes) if begin + length < num_bytes - bytes_per_second // 100 else None
    if (container := _CONTAINERS.get(magic)) is None:
        return None
    long_size: int | None = None
    for chunk, begin, length in _chunks(file, container, container.start, num_bytes):
        if chunk == b"ds64":
            long_size = struct.unpack("<Q", _at(file, begin + 8, 8).ljust(8, b"\0"))[0]
        if chunk.startswith(container.samples):
            is_long = long_size is not None and length == WRAP - 1
            declared = (long_size or 0) if is_long else length
            return _actual(name, file, container, SampleRange(begin, begin + declared), num_bytes, bytes_per_second)
    return None


def _actual(
    name: str, file: BinaryIO, container: _Container, declared: SampleRange, num_bytes: int, bytes_per_second: int
) -> SampleRange | None:
    begin = declared.begin + container.skip
    end = declared.end
    rest = num_bytes - end
    if rest <= bytes_per_second // 100 or _ends_in_chunks(name, file, container, end, num_bytes):
        return None
    if begin < end and num_bytes < WRAP and _is_zero(file, end, num_bytes):  # space that was set aside and not used
        return None
    for wrapped_end in range(end + WRAP, num_bytes, WRAP):
        if _ends_in_chunks(name, file, container, wrapped_end, num_bytes):
            return SampleRange(begin, wrapped_end)
    return SampleRange(begin, num_bytes)


def _chunks(file: BinaryIO, container: _Container, position: int, num_bytes: int) -> Iterator[tuple[bytes, int, int]]:
    """Id, first byte and length of the chunks from a position on, up to one that is none."""
    header_bytes = container.id_bytes + container.size.size
    while position + header_bytes <= num_bytes:
        header = _at(file, position, header_bytes)
        chunk, (length,) = header[: container.id_bytes], container.size.unpack(header[container.id_bytes :])
        length -= header_bytes if container.has_header_in_size else 0
        if length < 0 or not all(32 <= byte < 127 for byte in chunk[:4]):
            return
        yield chunk, position + header_bytes, length
        position += header_bytes + length
        position += -position % container.align


def _ends_in_chunks(name: str, file: BinaryIO, container: _Container, position: int, num_bytes: int) -> bool:
    """Whether nothing but chunks and tags follows a position; some writers leave out the byte that makes it even."""
    for begin in {position, position + -position % container.align}:
        end = begin
        for chunk, first, length in _chunks(file, container, begin, num_bytes):
            if chunk == b"caff" or (chunk in _CONTAINERS and _at(file, first, 4) in (b"WAVE", b"AIFF", b"AIFC")):
                raise _joined_error(name, begin)
            end = first + length
        if begin < end and (end >= num_bytes or num_bytes - end < container.align):
            return True
        if end < num_bytes and _at(file, end, 8).startswith(_TAGS):
            return True
    return False


def _check_joined(name: str, file: BinaryIO, num_bytes: int) -> None:
    """Raise a DataError for MP4 and ASF files that another one follows: decoders end after the first."""
    start = _at(file, 0, 16)
    mark = start[4:12] if start[4:8] == b"ftyp" else start if start.startswith(_ASF) else b""
    if mark and (place := _find(file, re.compile(re.escape(mark)), 16, num_bytes)) is not None:
        raise _joined_error(name, place - start.index(mark))


def _joined_error(name: str, place: int) -> DataError:
    split = f"split them: head -c {place} IN > 1; tail -c +{place + 1} IN > 2"
    return DataError(f"{name}: another recording is joined to this one at byte {place}; {split}")


def _find(file: BinaryIO, pattern: re.Pattern[bytes], first: int, num_bytes: int) -> int | None:
    """Where a pattern of at most 16 bytes stands, from a position on."""
    for position in range(first, num_bytes, _BLOCK):
        if found := pattern.search(_at(file, position, _BLOCK + 15)):
            return position + found.start()
    return None


def _is_zero(file: BinaryIO, begin: int, end: int) -> bool:
    return all(not any(_at(file, first, min(_BLOCK, end - first))) for first in range(begin, end, _BLOCK))


def is_length_told(file: BinaryIO, num_bytes: int) -> bool | None:
    """Whether the header of an MP3, FLAC or Ogg file tells the length that decoding yields; None for other files.

    Args:
        file: The file, at any position.
        num_bytes: Its length.
    """
    position = _skip_id3(file)
    magic = _at(file, position, 4)
    if magic == b"fLaC":
        return not _is_joined_flac(file, position, num_bytes)
    if magic == b"OggS":
        return not _is_chained_ogg(file, num_bytes)
    is_mp3 = position > 0 or (magic[:1] == b"\xff" and magic[1:2] >= b"\xe0")
    return _is_mp3_length_told(file, position, num_bytes) if is_mp3 else None


def _skip_id3(file: BinaryIO) -> int:
    """Where the sound begins behind ID3v2 tags, whose size is four times seven bits."""
    position = 0
    while (tag := _at(file, position, 10))[:3] == b"ID3" and len(tag) == 10:
        position += 10 + sum((byte & 0x7F) << 7 * (3 - index) for index, byte in enumerate(tag[6:]))
    return position


def _is_mp3_length_told(file: BinaryIO, position: int, num_bytes: int) -> bool:
    """Whether there is a Xing frame that counts the frames, in as many bytes as there are."""
    start = _at(file, position, 256)
    if len(start) < 64 or start[0] != 0xFF or start[1] & 0xE0 != 0xE0:
        return False
    offset = _XING_OFFSETS.get((start[1] >> 3 & 3, start[3] >> 6 == 3), 0)
    if start[offset : offset + 4] not in (b"Xing", b"Info") or start[offset + 7] & 3 != 3:
        return False
    frames, stream_bytes = struct.unpack(">II", start[offset + 8 : offset + 16])
    if not _MIN_FRAME_BYTES * frames <= stream_bytes <= _MAX_FRAME_BYTES * (frames + 1):
        return False
    return bool(abs(position + stream_bytes + _bytes_of_tags(file, num_bytes) - num_bytes) <= _MAX_FRAME_BYTES)


def _bytes_of_tags(file: BinaryIO, num_bytes: int) -> int:
    """Length of ID3v1 and APEv2 tags at the end of a file."""
    tags = _TAG_BYTES if _at(file, num_bytes - _TAG_BYTES, 3) == b"TAG" else 0
    footer = _at(file, num_bytes - tags - 32, 32)
    if footer.startswith(b"APETAGEX"):
        length, _, flags = struct.unpack("<III", footer[12:24])
        tags += length + (32 if flags >> 31 else 0)
    return tags


def _is_joined_flac(file: BinaryIO, position: int, num_bytes: int) -> bool:
    """Whether a second stream begins somewhere: the marker and the header of its first block."""
    return _find(file, _FLAC_START, position + 4, num_bytes) is not None


def _is_chained_ogg(file: BinaryIO, num_bytes: int) -> bool:
    """Whether a stream begins after pages of another one, or pages are missing their begin (RFC 3533, section 6)."""
    position, has_data = 0, False
    while position + 27 <= num_bytes:
        page = _at(file, position, 27 + 255)
        if not page.startswith(b"OggS"):
            return True
        is_first = bool(page[5] & 2)
        if is_first and has_data:
            return True
        has_data |= not is_first
        position += 27 + page[26] + sum(page[27 : 27 + page[26]])
    return False


def _at(file: BinaryIO, position: int, count: int) -> bytes:
    file.seek(max(0, position), os.SEEK_SET)
    return file.read(count)
