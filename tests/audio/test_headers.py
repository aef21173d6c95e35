"""Headers of uncompressed and compressed recordings, byte by byte; whole recordings are in `test_lengths`."""

from __future__ import annotations

import io
import struct

import pytest

from efficient_sed.audio.headers import SampleRange, find_samples, is_zero, skip_id3
from efficient_sed.audio.stream_headers import has_exact_length
from efficient_sed.errors import DataError

SAMPLES = bytes(range(1, 101)) * 40


def wav(size: int, behind: bytes = b"") -> bytes:
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16_000, 32_000, 2, 16)
    return b"RIFF\0\0\0\0WAVE" + form + struct.pack("<4sI", b"data", size) + SAMPLES + behind


def find(data: bytes) -> SampleRange | None:
    return find_samples("a.wav", io.BytesIO(data), len(data))


@pytest.mark.parametrize("size", [len(SAMPLES), 2**32 - 1])
def test_right_and_too_large_sizes_are_believed(size: int) -> None:
    assert find(wav(size)) is None


def test_a_size_that_was_never_filled_in() -> None:
    assert find(wav(0)) == (44, 44 + len(SAMPLES))


def test_a_chunk_behind_the_samples_is_no_sound() -> None:
    assert find(wav(len(SAMPLES), struct.pack("<4sI", b"LIST", 4) + b"INFO")) is None


def test_a_joined_recording_is_named() -> None:
    data = wav(len(SAMPLES))
    with pytest.raises(DataError, match=rf"^a.wav: another recording is joined to this one at byte {len(data)}; split"):
        find(data + data)


def test_other_files_are_not_judged() -> None:
    assert find(b"no audio at all") is None
    assert has_exact_length("a.txt", io.BytesIO(b"no audio at all"), 15) is None
    assert has_exact_length("a.wav", io.BytesIO(wav(0)), len(wav(0))) is None


def test_tags_are_skipped() -> None:
    tag = b"ID3\4\0\0" + bytes([0, 0, 1, 2]) + bytes(130)
    assert skip_id3(io.BytesIO(tag + b"sound")) == 140
    assert skip_id3(io.BytesIO(tag + tag + b"sound")) == 280
    assert skip_id3(io.BytesIO(b"sound")) == 0


def test_zeros() -> None:
    file = io.BytesIO(b"\1" + bytes(2**21) + b"\1")
    assert is_zero(file, 1, 2**21 + 1)
    assert not is_zero(file, 0, 2**21)
    assert not is_zero(file, 1, 2**21 + 2)
