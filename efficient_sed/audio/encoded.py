"""Recordings before they are decoded: files, or audio files in memory, and the limits on them."""

from __future__ import annotations

import io
import logging
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

from efficient_sed.errors import ConfigError, DataError

logger = logging.getLogger(__name__)
MIN_RATE = 1000  # Hz; below it a megabyte would be days of sound
MAX_PER_BYTE = 8192  # samples that a byte of silence can stand for: FLAC has 65535 in 11 bytes, Opus 5760 in one
MAX_VALUES = 2**29  # decoded at once: two gibibytes, or an hour and forty minutes of stereo at 44.1 kHz
SUFFIXES = (
    ".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".aif", ".aiff",
    ".aifc", ".caf", ".au", ".snd", ".m4a", ".m4b", ".mp4", ".aac", ".wma", ".wv", ".webm", ".mka", ".amr", ".3gp",
)  # fmt: skip
"""Endings of the audio files that are searched for in folders, in lower case."""
CHANNEL_NAMES: dict[str, int | None] = {"mix": None, "first": 1}


class MissingDecoderError(DataError):
    """A recording needs a package that is not installed; it may be readable later."""


class EncodedAudio(NamedTuple):
    """An audio file in memory."""

    name: str
    """For messages."""
    data: bytes

    def __str__(self) -> str:
        return self.name


AudioInput = str | Path | EncodedAudio


def parse_channel(value: str | int | None, name: str = "channel") -> int | None:
    """Parse the choice of a channel.

    Args:
        value: "mix" or None for the mean of all channels, "first", or a number from 1.
        name: Of the option, for messages.

    Returns:
        The channel, counted from 1; None for the mean of all.

    Raises:
        ConfigError: If it is none of these.
    """
    if value is None or value in CHANNEL_NAMES:
        return None if value is None else CHANNEL_NAMES[str(value)]
    text = str(value)
    if not isinstance(value, bool) and text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise ConfigError(f"{name}={value} is not allowed: mix (the mean of all channels), first, or a number from 1")


def count_bytes(path: AudioInput) -> int:
    """Get the size of a recording in bytes.

    Raises:
        DataError: If there is no such file, or nothing in it.
    """
    num_bytes = len(path.data) if isinstance(path, EncodedAudio) else _file_size(Path(path))
    if num_bytes == 0:
        raise DataError(f"{path}: the audio file is empty (0 bytes)")
    return num_bytes


def open_bytes(path: AudioInput) -> BinaryIO:
    """Open a recording to read its bytes.

    Raises:
        DataError: If the system does not let it be read.
    """
    if isinstance(path, EncodedAudio):
        return io.BytesIO(path.data)
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def check_rate(path: AudioInput, sample_rate: int) -> None:
    """Raise a DataError if a sample rate is below MIN_RATE."""
    if sample_rate < MIN_RATE:
        raise DataError(f"{path}: a sample rate of {sample_rate} Hz is not allowed: {MIN_RATE} Hz or more")


def check_values(path: AudioInput, num_samples: int, channels: int, sample_rate: int) -> None:
    """Raise a DataError if more than MAX_VALUES samples would be decoded at once."""
    if num_samples * channels > MAX_VALUES:
        minutes = num_samples / sample_rate / 60
        sound = f"{minutes:.0f} minutes of {channels} channels"
        raise DataError(f"{path}: {sound} are too much to be decoded at once; cut the file into pieces")


@lru_cache(maxsize=65536)
def warn_once(message: str) -> None:
    """Log a warning once, however often a recording is read."""
    logger.warning("%s", message)


def _file_size(path: Path) -> int:
    try:
        if path.is_file():
            return path.stat().st_size
        if path.is_dir():
            raise DataError(f"{path}: a folder, and no audio file")
    except OSError as error:  # such as a name that is too long
        raise DataError(f"{path}: no such audio file ({error.strerror})") from error
    raise DataError(f"{path}: no such audio file")
