"""Audio files of any rate and channel count -> mono float32 at one rate. Decoding by libsndfile: wav, flac, ogg, mp3."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from efficient_sed._files import walk_files
from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.audio.resample import repetitions, resample
from efficient_sed.errors import DataError

MAX_FILTER_SIZE = 10**8
MIN_RATE = 1000  # below it a file of a megabyte would be days of sound
MAX_PER_BYTE = 8192  # samples of silence that a byte can stand for: FLAC has 65535 in 11 bytes, Opus 5760 in one
MAX_VALUES = 2**29  # decoded at once: two gibibytes, or an hour and forty minutes of stereo at 44.1 kHz
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
_MARGIN_S = 1  # read around a block, so that resampling it alone equals resampling the whole; whole seconds are whole samples at any rate
_LAST_PAGE = 2**18  # samples that an Ogg page can hold: 255 packets of 1024


class AudioInfo(NamedTuple):
    """What a file's header says."""

    duration_s: float
    sample_rate: int
    channels: int


class EncodedAudio(NamedTuple):
    """An audio file in memory."""

    name: str
    """For messages."""
    data: bytes

    def __str__(self) -> str:
        return self.name


AudioInput = str | Path | EncodedAudio


def find_audio(folder: Path, unreadable: list[str] | None = None) -> list[Path]:
    """All audio files below a folder, sorted; hidden ones are left out.

    Args:
        unreadable: Takes messages about folders that cannot be read.

    Raises:
        DataError: If a folder cannot be read and there is no such list.
    """

    def tell(error: OSError) -> None:
        message = f"{error.filename}: cannot be read ({error.strerror})"
        if unreadable is None:
            raise DataError(message)
        unreadable.append(message)

    return sorted(path for path in walk_files(folder, tell) if path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".") and (path.is_file() or not path.exists()))


def audio_info(path: AudioInput) -> AudioInfo:
    """Length, rate and channels from the header.

    Raises:
        DataError: If the file is missing, empty or not audio.
    """
    with _open(path) as file:
        if file.frames == 0:
            raise DataError(f"{path}: the audio file is empty (0 samples)")
        return AudioInfo(file.frames / file.samplerate, file.samplerate, file.channels)


def read_audio(path: AudioInput, start_s: float = 0.0, duration_s: float | None = None, *, sample_rate: int = SAMPLE_RATE, only_first_channel: bool = False) -> np.ndarray:
    """Mean over channels, or the first alone, resampled, shape (samples,).

    Args:
        path: A file, or its content.
        start_s: Where to begin; must lie inside the file.
        duration_s: How much to read; none for the rest. What lies beyond the end is left out.

    Raises:
        DataError: If the file cannot be decoded; the message names it.
    """
    with _open(path) as file:
        rate = file.samplerate
        _check_rate(path, rate, sample_rate)
        first = round(start_s * rate)
        last = file.frames if duration_s is None else min(file.frames, first + round(duration_s * rate))
        if not 0 <= first < last:
            raise DataError(f"{path}: no audio at {start_s:g} s (the file has {file.frames / rate:g} s)")
        low, high = max(0, first - _MARGIN_S * rate), min(file.frames, last + _MARGIN_S * rate)
        if rate == sample_rate:
            low, high = first, last
        samples = _decode(file, path, low, high - low, only_first_channel)
    if rate == sample_rate:
        return samples
    # Cut the margins after resampling: `low` is a whole number of seconds before `first`, or the start of the file.
    begin = round((first - low) * sample_rate / rate)
    count = max(1, round((last - first) * sample_rate / rate))
    return resample(samples, rate, sample_rate)[begin : begin + count]


def filter_size(rate: int, wanted: int) -> int:
    """Weights of the filter between two rates, about; more than MAX_FILTER_SIZE take gigabytes, as from 44101 Hz."""
    common = math.gcd(rate, wanted)
    times = repetitions(wanted // common)
    return (times * wanted // common) * (times * rate // common)


def _check_rate(path: AudioInput, rate: int, wanted: int) -> None:
    if filter_size(rate, wanted) > MAX_FILTER_SIZE:
        raise DataError(f"{path}: a sample rate of {rate} Hz cannot be resampled here; convert it first: ffmpeg -i IN -ar {wanted} OUT.wav")


def _open(path: AudioInput) -> soundfile.SoundFile:
    num_bytes = len(path.data) if isinstance(path, EncodedAudio) else _file_size(Path(path))
    if num_bytes == 0:
        raise DataError(f"{path}: the audio file is empty (0 bytes)")
    try:
        file = soundfile.SoundFile(io.BytesIO(path.data) if isinstance(path, EncodedAudio) else str(path))
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: *.raw, whose rate libsndfile cannot know
        _check_access(path)
        raise DataError(f"{path}: not readable as audio ({getattr(error, 'error_string', error)}); supported: {', '.join(s[1:] for s in AUDIO_SUFFIXES)}") from error
    try:
        _check_header(path, file, num_bytes)
    except DataError:
        file.close()
        raise
    return file


def _check_access(path: AudioInput) -> None:
    """Raise a DataError if the system does not let it be read, for which libsndfile has no words."""
    if not isinstance(path, EncodedAudio):
        try:
            with Path(path).open("rb"):
                pass
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _file_size(path: Path) -> int:
    try:
        if path.is_file():
            return path.stat().st_size
    except OSError as error:  # such as a name that is too long
        raise DataError(f"{path}: no such audio file ({error.strerror})") from error
    raise DataError(f"{path}: no such audio file")


def _check_header(path: AudioInput, file: soundfile.SoundFile, num_bytes: int) -> None:
    """Refuse a file that would take days or all memory because of a few bytes in it."""
    if file.samplerate < MIN_RATE:
        raise DataError(f"{path}: a sample rate of {file.samplerate} Hz is not allowed: {MIN_RATE} Hz or more")
    if file.frames >= 2**62:
        raise DataError(f"{path}: its header does not tell its length, as if it had been written into a pipe; write it anew: ffmpeg -i IN OUT.flac")
    if not 0 <= file.frames <= MAX_PER_BYTE * num_bytes:
        raise DataError(f"{path}: damaged audio (its header tells of {file.frames} samples, in {num_bytes} bytes)")


def _decode(file: soundfile.SoundFile, path: AudioInput, first: int, count: int, only_first_channel: bool) -> np.ndarray:
    if count * file.channels > MAX_VALUES:
        raise DataError(f"{path}: {count / file.samplerate / 60:.0f} minutes of {file.channels} channels are too much to be decoded at once; cut the file into pieces")
    origin = _safe_start(file, first)
    try:
        file.seek(origin)
        samples = file.read(first - origin + count, dtype="float32", always_2d=True)[first - origin :]
    except soundfile.LibsndfileError as error:
        raise DataError(f"{path}: damaged audio ({error.error_string})") from error
    if len(samples) < count:
        raise DataError(f"{path}: damaged audio (decoding stops after {first + len(samples)} of {file.frames} samples)")
    if not np.isfinite(samples).all():
        raise DataError(f"{path}: damaged audio (a sample is not a finite number)")
    return np.ascontiguousarray(samples[:, 0] if only_first_channel else samples.mean(axis=1))


def _safe_start(file: soundfile.SoundFile, first: int) -> int:
    """Where decoding must begin for `first` to come out as when the whole file is decoded; libsndfile 1.2.2 and mpg123 seek imprecisely."""
    num_samples: int = file.frames
    rate: int = file.samplerate
    if file.format == "OGG":  # a seek into the last page lands too late, by what the encoder trimmed off its end
        return min(first, max(0, num_samples - _LAST_PAGE))
    if file.format in ("MP3", "MPEG"):  # a frame borrows bits from those before it, which a seek leaves out: errors of up to 0.09 were seen
        return max(0, first - _MARGIN_S * rate)
    return first
