"""Raw samples, from the standard input or any other pipe."""

from __future__ import annotations

import io
import select
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from efficient_sed.audio.encoded import warn_once
from efficient_sed.errors import DataError
from efficient_sed.inference.sources.contract import BLOCK_S, POLL_S, IsEnded, Source

if TYPE_CHECKING:
    import numpy as np

SAMPLE_TYPES = {"s16le": ("<i2", 2**15), "s32le": ("<i4", 2**31), "f32le": ("<f4", 1)}
FILE_HEADERS = {b"RIFF": "a wav", b"fLaC": "a flac", b"OggS": "an ogg", b"ID3\x03": "an mp3", b"ID3\x04": "an mp3"}


class RawSource(Source):
    """The standard input; arguments as for `read_samples`."""

    name = "stdin"

    def __init__(self, sample_rate: int, channels: int, sample_type: str, channel: int | None) -> None:
        self._format = sample_rate, channels, sample_type, channel

    def chunks(self, is_ended: IsEnded) -> Iterator[np.ndarray]:
        """See `Source.chunks`."""
        return read_samples(sys.stdin.buffer, *self._format, is_ended)


def read_samples(
    source: BinaryIO,
    sample_rate: int,
    channels: int,
    sample_type: str,
    channel: int | None = None,
    is_ended: IsEnded = lambda: False,
) -> Iterator[np.ndarray]:
    """Read raw samples in chunks; an unfinished last sample is left out.

    Args:
        source: Raw samples, channel by channel.
        sample_rate: In Hz.
        channels: How many there are.
        sample_type: A name of `SAMPLE_TYPES`.
        channel: Which one is read, counted from 1; default None, the mean of all.
        is_ended: As for `Source.chunks`; default never.

    Yields:
        Chunks of 0.1 s or less, shape (samples,), float32 in [-1, 1].

    Raises:
        DataError: If there is nothing, an audio file instead of raw samples, or a sample that is no number.
    """
    import numpy as np

    from efficient_sed.audio.io import any_cancelled

    dtype, scale = SAMPLE_TYPES[sample_type]
    size = np.dtype(dtype).itemsize * channels
    rest, is_first = b"", True
    while block := _read(source, max(size, round(BLOCK_S * sample_rate) * size), is_ended):
        if is_first and (kind := FILE_HEADERS.get(block[:4])):
            raise DataError(
                f"the standard input is {kind} file, listen takes raw samples; give the file to: efficient-sed detect -"
            )
        is_first, rest = False, rest + block
        whole = len(rest) // size * size
        frames = np.frombuffer(rest[:whole], dtype).reshape(-1, channels)
        rest = rest[whole:]
        if not np.isfinite(frames).all():
            raise DataError(
                "the standard input holds a sample that is no number; "
                f"is --samples {sample_type} what it was written as?"
            )
        mono = frames.mean(axis=1, dtype=np.float32) if channel is None else frames[:, channel - 1].astype(np.float32)
        mono /= np.float32(scale)
        if channel is None and channels > 1 and any_cancelled(frames / np.float32(scale), mono, sample_rate):
            warn_once(
                "the standard input: its channels cancel in their mean, as if one were inverted; "
                "choose one by --channel"
            )
        yield mono
    if is_first and not is_ended():
        raise DataError(
            "the standard input is empty; give raw samples, such as: "
            "ffmpeg -i IN -f s16le -ac 1 -ar 16000 - | efficient-sed listen"
        )


def _read(source: BinaryIO, size: int, is_ended: IsEnded) -> bytes:
    """What is there, at most `size` bytes; waits for the first one unless listening has ended."""
    if sys.platform != "win32" and isinstance(source, io.BufferedReader):  # `read1` leaves nothing in its buffer
        while not select.select([source], [], [], POLL_S)[0]:
            if is_ended():
                return b""
    block: bytes = source.read1(size)  # type: ignore[attr-defined]
    return block
