"""Checking whether headers of compressed recordings state the length that decoding yields.

MP3 states no length without a Xing frame (http://gabriel.mp3-tech.org/mp3infotag.html), FLAC and Ogg state a wrong one
if files were cut or joined, and decoders stop after the first of joined MP4, ASF or WavPack files. Only headers are
read.
"""

from __future__ import annotations

import re
import struct
from functools import lru_cache
from typing import BinaryIO

from efficient_sed.audio.headers import AU, BLOCK, CONTAINERS, is_zero, joined_error, read_at, skip_id3

_FLAC_START = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
_OTHER_START = re.compile(rb"ID3[\x02-\x04]\x00|OggS\x00\x02|RIFF....WAVE", re.DOTALL)
_FLAC_SYNC = re.compile(rb"\xff[\xf8\xf9]")
_FLAC_BLOCKS = {  # samples by the code in a frame's header
    1: 192,
    **{code: 144 << code for code in range(2, 6)},
    **{code: 1 << code for code in range(8, 16)},
}
_FLAC_TAIL = 4096  # bytes that tags behind the last frame may take
_ID3V1_BYTES = 128
_STARTS = (b"fLaC", b"ID3", b"RIFF", b"FORM")
_ASF = bytes.fromhex("3026b2758e66cf11")
_XING_OFFSETS = {(3, False): 36, (3, True): 21, (2, False): 21, (2, True): 13, (0, False): 21, (0, True): 13}
"""Where the Xing frame is, by MPEG version and whether the file is mono."""
_KBIT = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Kilobits a second of layer III, by whether it is MPEG 1."""
_HERTZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def has_exact_length(name: str, file: BinaryIO, num_bytes: int) -> bool | None:
    """Check whether the header of an MP3, FLAC or Ogg file states its length.

    Args:
        name: Of the file, for messages.
        file: The file, at any position.
        num_bytes: Its length.

    Returns:
        None for other formats.

    Raises:
        DataError: If another recording is joined to it.
    """
    position = skip_id3(file)
    start = read_at(file, position, 16)
    if start[:4] in CONTAINERS or start[:4] in AU:
        return None
    if start.startswith(b"fLaC"):
        return _has_exact_flac(name, file, position, num_bytes)
    if start.startswith(b"OggS"):
        return _is_one_ogg(name, file, num_bytes)
    if start[4:8] == b"ftyp" or start.startswith((_ASF, b"wvpk")):
        _check_joined(name, file, start, num_bytes)
        return None
    is_mp3 = position > 0 or (start[:1] == b"\xff" and start[1:2] >= b"\xe0")
    return _has_exact_mp3(file, position, num_bytes) if is_mp3 else None


def _has_exact_mp3(file: BinaryIO, position: int, num_bytes: int) -> bool:
    """Whether there is a Xing frame that states the right number of frames."""
    start = read_at(file, position, 256)
    if len(start) < 64:
        return False
    offset = _XING_OFFSETS.get((start[1] >> 3 & 3, start[3] >> 6 == 3), 0)
    if start[offset : offset + 4] not in (b"Xing", b"Info") or not start[offset + 7] & 1:
        return False
    (promised,) = struct.unpack(">I", start[offset + 8 : offset + 12])
    num_frames, end = _count_mp3_frames(file, position, num_bytes)
    return num_frames == promised + 1 and _is_tag(file, end, num_bytes)


def _is_tag(file: BinaryIO, begin: int, num_bytes: int) -> bool:
    """Whether the rest of a file is a tag or zeros, and not another recording."""
    start, rest = read_at(file, begin, 32), num_bytes - begin
    if start.startswith(b"APETAGEX"):
        return rest - _ape_bytes(start) in (0, _ID3V1_BYTES)
    return rest == _ID3V1_BYTES if start.startswith(b"TAG") else is_zero(file, begin, num_bytes)


def _ape_bytes(header: bytes) -> int:
    return 32 + int.from_bytes(header[12:16], "little")


def _count_mp3_frames(file: BinaryIO, position: int, num_bytes: int) -> tuple[int, int]:
    """Count the frames of layer III that follow each other from a position on; also returns where they end."""
    count, first, data = 0, position, b""
    while position + 4 <= num_bytes:
        offset = position - first
        if offset + 4 > len(data):
            first, data, offset = position, read_at(file, position, BLOCK), 0
        length = _mp3_frame_bytes(data[offset + 1], data[offset + 2]) if data[offset] == 0xFF else 0
        if length == 0 or position + length > num_bytes:
            break
        count += 1
        position += length
    return count, position


@lru_cache(maxsize=2**16)
def _mp3_frame_bytes(second: int, third: int) -> int:
    """Length in bytes of a frame of layer III by the second and third byte of its header; 0 if it is none."""
    version, kbit, hertz = second >> 3 & 3, third >> 4, third >> 2 & 3
    if second & 0xE6 != 0xE2 or version == 1 or kbit in (0, 15) or hertz == 3:
        return 0
    is_first = version == 3
    return (144_000 if is_first else 72_000) * _KBIT[is_first][kbit] // _HERTZ[version][hertz] + (third >> 1 & 1)


def _has_exact_flac(name: str, file: BinaryIO, position: int, num_bytes: int) -> bool:
    """Whether the last frame ends where the header says, and no second stream begins (RFC 9639)."""
    header = read_at(file, position + 8, 18).ljust(18, b"\0")
    block_size, longest = int.from_bytes(header[0:2], "big"), int.from_bytes(header[7:10], "big")
    promised = int.from_bytes(header[13:18], "big") & (2**36 - 1)
    tail = read_at(file, max(position + 42, num_bytes - (longest or 2**17) - _FLAC_TAIL), num_bytes)
    ends = [_flac_frame_end(tail[sync.start() :][:16], block_size) for sync in _FLAC_SYNC.finditer(tail)]
    last = next((end for end in reversed(ends) if end is not None), None)
    if last != promised and (place := _find(file, _OTHER_START, position + 4, num_bytes)) is not None:
        raise joined_error(name, place)
    return last == promised and _find(file, _FLAC_START, position + 4, num_bytes) is None


def _flac_frame_end(header: bytes, block_size: int) -> int | None:
    """Number of the sample behind a frame, by the frame's header; None if it is no header."""
    header = header.ljust(16, b"\0")
    number_bytes = max(1, 8 - (~header[4] & 0xFF).bit_length())  # coded as UTF-8
    code, rate = header[2] >> 4, header[2] & 15
    end = 4 + number_bytes + {6: 1, 7: 2}.get(code, 0) + {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if code == 0 or rate == 15 or number_bytes > 7 or end >= len(header) or _crc8(header[:end]) != header[end]:
        return None
    number = header[4] & (0x7F if number_bytes == 1 else 0x7F >> number_bytes)
    for byte in header[5 : 4 + number_bytes]:
        number = number << 6 | byte & 0x3F
    behind = header[4 + number_bytes :]
    own = {6: behind[0] + 1, 7: int.from_bytes(behind[:2], "big") + 1}.get(code) or _FLAC_BLOCKS[code]
    return own + (number if header[1] & 1 else number * block_size)


def _crc8(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ (0x07 if value & 0x80 else 0)) & 0xFF
    return value


def _is_one_ogg(name: str, file: BinaryIO, num_bytes: int) -> bool:
    """Whether no page of any stream is missing and all streams begin together (RFC 3533, section 6)."""
    position, has_data, is_one = 0, False, True
    numbers: dict[bytes, int] = {}
    headers = set()
    while position + 27 <= num_bytes:
        page = read_at(file, position, 27 + 255)
        serial, number = page[14:18], int.from_bytes(page[18:22], "little")
        is_first = bool(page[5] & 2)
        if not page.startswith(b"OggS"):
            if page.startswith(_STARTS):
                raise joined_error(name, position)
            return is_one and has_data and position > num_bytes - BLOCK  # less than a block of other bytes follows
        if is_first:
            header = read_at(file, position + 27 + page[26], 16)  # codec, channels, rate
            if has_data and header not in headers:
                raise joined_error(name, position)
            headers.add(header)
        is_one &= not (is_first and has_data) and number == numbers.get(serial, number - 1) + 1
        numbers[serial], has_data = number, has_data or not is_first
        position += 27 + page[26] + sum(page[27 : 27 + page[26]])
    return is_one


def _check_joined(name: str, file: BinaryIO, start: bytes, num_bytes: int) -> None:
    """Raise a DataError if a second MP4, ASF or WavPack file follows the first."""
    position, last = 0, -1
    while position + 24 <= num_bytes:
        header = read_at(file, position, 24)
        if start[4:8] == b"ftyp":
            length, kind = struct.unpack(">I4s", header[:8])
            length = struct.unpack(">Q", header[8:16])[0] if length == 1 else length
            is_second = position > 0 and kind == b"ftyp"
        elif start.startswith(_ASF):
            (length,) = struct.unpack("<Q", header[16:24])
            is_second = position > 0 and header.startswith(_ASF)
        else:
            is_tag = header.startswith(b"APETAGEX")
            length = _ape_bytes(header) if is_tag else 8 + int.from_bytes(header[4:8], "little")
            index = last if is_tag else int.from_bytes(header[16:20], "little")
            is_second, last = header.startswith(b"wvpk") and index < last, index
        if is_second:
            raise joined_error(name, position)
        if length < 8:  # it reaches to the end of the file
            return
        position += length


def _find(file: BinaryIO, pattern: re.Pattern[bytes], first: int, num_bytes: int) -> int | None:
    """Find a pattern of at most 16 bytes, from a position on."""
    for position in range(first, num_bytes, BLOCK):
        if found := pattern.search(read_at(file, position, BLOCK + 15)):
            return position + found.start()
    return None
