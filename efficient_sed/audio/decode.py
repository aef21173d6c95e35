"""Decoders of recordings: libsndfile where the header states the right length, FFmpeg's libraries for all else.

libsndfile seeks exactly and is the fastest, but takes the length of a recording from its header. Where `headers` and
`stream_headers` find that length wrong or missing, `_pyav` decodes the file from its start: slower, but complete.
"""

from __future__ import annotations

import io
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

import numpy as np
import soundfile

from efficient_sed.audio._pyav import PyavDecoder
from efficient_sed.audio.encoded import (
    MAX_PER_BYTE,
    AudioInput,
    EncodedAudio,
    check_rate,
    check_values,
    count_bytes,
    open_bytes,
    warn_once,
)
from efficient_sed.audio.headers import SampleRange, find_samples
from efficient_sed.audio.stream_headers import has_exact_length
from efficient_sed.errors import DataError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_SAMPLE_BYTES = {
    "PCM_U8": 1, "PCM_S8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8, "ULAW": 1, "ALAW": 1,
}  # fmt: skip
MIN_LOST_S = 0.01  # seconds; less is worth no warning
_MP3 = ("MP3", "MPEG")
_LAST_PAGE = 2**18  # samples that an Ogg page can hold, 255 packets of 1024


class Decoder(Protocol):
    """An open recording that gives samples."""

    sample_rate: int
    channels: int

    def count_samples(self) -> int:
        """Count the samples of each channel that decoding yields.

        Raises:
            DataError: If it cannot be decoded.
        """

    def read(self, first: int, count: int) -> np.ndarray:
        """Read samples from a position on.

        Returns:
            Shape (count, channels), float32; fewer samples at the end.

        Raises:
            DataError: If they cannot be decoded.
        """

    def close(self) -> None:
        """Close the file."""


def open_decoder(path: AudioInput) -> Decoder:
    """Open a recording with a decoder that yields all of it.

    Raises:
        DataError: If the file is missing, is no audio, or needs a package that is not installed; the message names it.
    """
    num_bytes = count_bytes(path)
    samples, is_exact = _inspect(path, num_bytes)
    if is_exact is False:
        return PyavDecoder(path, num_bytes)
    try:
        file = _open_sndfile(path)
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: *.raw, whose rate libsndfile cannot know
        return PyavDecoder(path, num_bytes, refusal=getattr(error, "error_string", str(error)))
    if not _is_complete(file, is_exact):
        file.close()
        return PyavDecoder(path, num_bytes)
    if samples is None:
        return SndfileDecoder(path, num_bytes, file)
    return _open_range(path, num_bytes, file, samples)


def _inspect(path: AudioInput, num_bytes: int) -> tuple[SampleRange | None, bool | None]:
    """Where the samples are, if the header is wrong about it, and whether it states the exact length."""
    if isinstance(path, EncodedAudio):
        return _inspect_bytes(str(path), io.BytesIO(path.data), num_bytes)
    return _inspect_file(str(path), num_bytes, Path(path).stat().st_mtime_ns)


@lru_cache(maxsize=65536)  # of a FLAC file all bytes are read
def _inspect_file(path: str, num_bytes: int, _modified_ns: int) -> tuple[SampleRange | None, bool | None]:
    with open_bytes(path) as file:
        return _inspect_bytes(path, file, num_bytes)


def _inspect_bytes(name: str, file: BinaryIO, num_bytes: int) -> tuple[SampleRange | None, bool | None]:
    return find_samples(name, file, num_bytes), has_exact_length(name, file, num_bytes)


def _open_sndfile(path: AudioInput) -> soundfile.SoundFile:
    if isinstance(path, EncodedAudio):
        return soundfile.SoundFile(io.BytesIO(path.data))
    return soundfile.SoundFile(str(path) if os.name == "nt" else os.fsencode(path))  # independent of the locale


def _is_complete(file: soundfile.SoundFile, is_exact: bool | None) -> bool:
    """Whether libsndfile can read the file from any position to its end."""
    if file.frames >= 2**62 or not file.seekable() or file.subtype.startswith("DWVW"):
        return False
    if file.subtype.startswith("MPEG"):
        return file.format in _MP3 and is_exact is True  # not MP3 inside WAV
    return file.format != "OGG" or file.subtype in ("VORBIS", "OPUS")


def _open_range(path: AudioInput, num_bytes: int, file: soundfile.SoundFile, samples: SampleRange) -> Decoder:
    """Open a decoder of samples at another place than the header states."""
    sample_bytes = _SAMPLE_BYTES.get(file.subtype, 0) * file.channels
    if sample_bytes == 0:
        file.close()
        return PyavDecoder(path, num_bytes, ignores_length=True)
    count = (samples.end - samples.begin) // sample_bytes
    if file.frames == count:  # libsndfile found them, too
        return SndfileDecoder(path, num_bytes, file)
    given_s, actual_s = file.frames / file.samplerate, count / file.samplerate
    if actual_s - given_s > MIN_LOST_S:
        warn_once(f"{path}: its header says {given_s:.2f} s, its samples last {actual_s:.2f} s; all are used")
    is_big = file.endian == "BIG" or (file.format in ("AIFF", "AU", "CAF") and file.endian != "LITTLE")
    layout = (file.samplerate, file.channels, file.subtype, "BIG" if is_big else "LITTLE", "RAW")
    file.close()
    raw = _Range(open_bytes(path), samples)
    return SndfileDecoder(path, num_bytes, soundfile.SoundFile(raw, "r", *layout), raw)


class _Range(io.RawIOBase):
    """A part of a file, as a file of its own."""

    def __init__(self, file: BinaryIO, samples: SampleRange) -> None:
        self._file, self._begin, self._size = file, samples.begin, samples.end - samples.begin
        self._position = 0

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        target = memoryview(buffer).cast("B")
        self._file.seek(self._begin + self._position)
        data = self._file.read(min(len(target), max(0, self._size - self._position)))
        target[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


class SndfileDecoder:
    """Decodes by libsndfile, from any position.

    Args:
        path: The recording.
        num_bytes: Its size.
        file: The same, opened by libsndfile.
        raw: The file that `file` reads from, to be closed with it.

    Raises:
        DataError: If the header is damaged.
    """

    def __init__(self, path: AudioInput, num_bytes: int, file: soundfile.SoundFile, raw: _Range | None = None) -> None:
        self.path, self.sample_rate, self.channels = path, int(file.samplerate), int(file.channels)
        self._file, self._raw = file, raw
        try:
            check_rate(path, self.sample_rate)
            if not 0 <= file.frames <= MAX_PER_BYTE * num_bytes:
                claim = f"its header states {file.frames} samples, in {num_bytes} bytes"
                raise DataError(f"{path}: damaged audio ({claim})")
        except DataError:
            self.close()
            raise

    def count_samples(self) -> int:
        """As `Decoder.count_samples`."""
        return int(self._file.frames)

    def read(self, first: int, count: int) -> np.ndarray:
        """As `Decoder.read`."""
        file = self._file
        count = max(0, min(count, file.frames - first))
        if count == 0:
            return np.zeros((0, self.channels), np.float32)
        check_values(self.path, count, self.channels, self.sample_rate)
        origin = self._safe_start(first)
        try:
            file.seek(origin)
            samples: np.ndarray = file.read(first - origin + count, dtype="float32", always_2d=True)[first - origin :]
        except soundfile.LibsndfileError as error:
            raise DataError(f"{self.path}: damaged audio ({error.error_string})") from error
        if len(samples) < count:
            end = f"decoding stops after {first + len(samples)} of {file.frames} samples"
            raise DataError(f"{self.path}: damaged audio ({end})")
        return samples

    def _safe_start(self, first: int) -> int:
        """Where decoding must begin for `first` to come out as if decoded from the start of the file.

        libsndfile 1.2.2 and mpg123 seek imprecisely.
        """
        if self._file.format == "OGG":
            # A seek into the last page lands too late, by as many samples as the encoder cut off its end.
            return min(first, max(0, self.count_samples() - _LAST_PAGE))
        if self._file.format in _MP3:
            # Frames borrow bits from earlier ones, which a seek leaves out: errors of up to 0.09 were seen.
            return max(0, first - self.sample_rate)
        return first

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        if self._raw is not None:
            self._raw.close()
