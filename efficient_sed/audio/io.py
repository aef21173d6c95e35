"""Recordings of any rate and channel count -> mono float32 at one rate."""

from __future__ import annotations

import logging
import math
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from efficient_sed.audio.decode import open_decoder
from efficient_sed.audio.encoded import SUFFIXES, AudioInput, warn_once
from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.audio.resample import repetitions, resample
from efficient_sed.errors import DataError
from efficient_sed.files.folders import walk_files

logger = logging.getLogger(__name__)
MAX_FILTER_SIZE = 10**8
MAX_KINDS = 5  # endings that a message names
CANCELLED = 0.1  # of the power that the mean of independent channels has
_MARGIN_S = 1  # read around a block, so that resampling it alone equals resampling the whole; whole seconds are whole samples at any rate
MIN_JUDGED_S = 0.1
_STRIDE = 17  # of the samples whose power is compared; no divisor of a usual rate


class AudioInfo(NamedTuple):
    """What decoding a recording yields."""

    duration_s: float
    sample_rate: int
    channels: int


def find_audio(folder: Path, unreadable: list[str] | None = None) -> list[Path]:
    """All audio files below a folder, sorted; hidden ones are left out, and files with other endings are counted in the log.

    Args:
        unreadable: Takes messages about folders that cannot be read.

    Raises:
        DataError: If a folder cannot be read and there is no list for that.
    """

    def report(error: OSError) -> None:
        message = f"{error.filename}: cannot be read ({error.strerror})"
        if unreadable is None:
            raise DataError(message)
        unreadable.append(message)

    found: list[Path] = []
    others: Counter[str] = Counter()
    for path in walk_files(folder, report):
        if path.name.startswith("."):
            continue
        if path.suffix.lower() not in SUFFIXES:
            others[path.suffix.lower() or "no ending"] += 1
        elif path.is_file() or not path.exists():
            found.append(path)
    if others:
        kinds = ", ".join(f"{count} with {ending}" for ending, count in others.most_common(MAX_KINDS))
        logger.info("%s: passed over %d files that are no audio (%s)", folder, others.total(), kinds)
    return sorted(found)


def audio_info(path: AudioInput) -> AudioInfo:
    """Length, rate and channels; the length is what decoding yields, and takes a pass over files whose header does not tell it.

    Raises:
        DataError: If the file is missing, empty or not audio.
    """
    decoder = open_decoder(path)
    try:
        if (num_samples := decoder.count_samples()) == 0:
            raise DataError(f"{path}: the audio file is empty (0 samples)")
        return AudioInfo(num_samples / decoder.sample_rate, decoder.sample_rate, decoder.channels)
    finally:
        decoder.close()


def read_audio(
    path: AudioInput,
    start_s: float = 0.0,
    duration_s: float | None = None,
    *,
    sample_rate: int = SAMPLE_RATE,
    channel: int | None = None,
) -> np.ndarray:
    """Samples of a recording, shape (samples,); arguments and errors as for `AudioReader` and its `read`."""
    with AudioReader(path, sample_rate=sample_rate, channel=channel) as reader:
        return reader.read(start_s, duration_s)


class AudioReader:
    """An open recording, read as one channel at one rate.

    Args:
        path: A file, or its content.
        sample_rate: Of what is read, in Hz.
        channel: Which one, counted from 1; default None, the mean of all.

    Raises:
        DataError: If the file cannot be opened, cannot be resampled or has no such channel; the message names it.
    """

    def __init__(self, path: AudioInput, *, sample_rate: int = SAMPLE_RATE, channel: int | None = None) -> None:
        self.path, self.sample_rate, self.channel = path, sample_rate, channel
        self._decoder = open_decoder(path)
        try:
            self._check()
        except DataError:
            self.close()
            raise

    def _check(self) -> None:
        if filter_size(self._decoder.sample_rate, self.sample_rate) > MAX_FILTER_SIZE:
            rates = f"{self._decoder.sample_rate} Hz cannot be resampled here"
            raise DataError(
                f"{self.path}: a sample rate of {rates}; convert it first: ffmpeg -i IN -ar {self.sample_rate} OUT.wav"
            )
        if self.channel is not None and not 1 <= self.channel <= self._decoder.channels:
            raise DataError(
                f"{self.path}: has no channel {self.channel}; it has {self._decoder.channels}, counted from 1"
            )

    def read(self, start_s: float = 0.0, duration_s: float | None = None) -> np.ndarray:
        """Samples, shape (samples,), float32.

        Args:
            start_s: Where to begin, in seconds; must lie inside the file.
            duration_s: How much to read, in seconds; default None, the rest. What lies beyond the end is left out.

        Raises:
            DataError: If the file cannot be decoded; the message names it.
        """
        rate, wanted = self._decoder.sample_rate, self.sample_rate
        first = round(start_s * rate)
        count = self._decoder.count_samples() - first if duration_s is None else round(duration_s * rate)
        margin = 0 if rate == wanted else _MARGIN_S * rate
        low = max(0, first - margin)
        is_inside = first >= 0 and count > 0
        decoded = self._decoder.read(low, first - low + count + margin) if is_inside else np.zeros((0, 1), np.float32)
        count = min(count, len(decoded) - (first - low))
        if not is_inside or count <= 0:
            length_s = self._decoder.count_samples() / rate
            raise DataError(f"{self.path}: no audio at {start_s:g} s (the file has {length_s:g} s)")
        samples = self._to_mono(decoded)
        if rate == wanted:
            return samples
        # Cut the margins after resampling: `low` is a whole number of seconds before `first`, or the start of the file.
        begin = round((first - low) * wanted / rate)
        return resample(samples, rate, wanted)[begin : begin + max(1, round(count * wanted / rate))]

    def _to_mono(self, decoded: np.ndarray) -> np.ndarray:
        if not np.isfinite(decoded).all():
            raise DataError(f"{self.path}: damaged audio (a sample is not a finite number)")
        channels = decoded.shape[1]
        mono = np.array(decoded[:, (self.channel or 1) - 1])
        if self.channel is not None or channels == 1:
            return mono
        for other in range(1, channels):  # a mean over the short axis takes ten times as long
            mono += decoded[:, other]
        mono /= np.float32(channels)
        if any_cancelled(decoded, mono, self._decoder.sample_rate):
            choice = "choose one by --channel or data.channel: first, or a number from 1"
            warn_once(f"{self.path}: its channels cancel in their mean, as if one were inverted; {choice}")
        return mono

    def close(self) -> None:
        """Close the file."""
        self._decoder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def any_cancelled(channels: np.ndarray, mean: np.ndarray, sample_rate: int) -> bool:
    """Whether channels (samples, channels) cancel in their mean (samples,) for a second, as where one is inverted.

    What is shorter is judged as a whole, and less than 0.1 s not at all.
    """
    starts = range(0, max(1, len(mean) - sample_rate + 1), sample_rate)
    blocks = (slice(start, start + sample_rate) for start in starts)
    return len(mean) >= MIN_JUDGED_S * sample_rate and any(
        _are_cancelled(channels[block], mean[block]) for block in blocks
    )


def _are_cancelled(channels: np.ndarray, mean: np.ndarray) -> bool:
    some, some_mean = channels[::_STRIDE].ravel(), mean[::_STRIDE]
    independent = np.dot(some, some) / channels.shape[1] ** 2
    return bool(np.dot(some_mean, some_mean) < CANCELLED * independent)


def filter_size(rate: int, wanted: int) -> int:
    """Weights of the filter between two rates, about; more than MAX_FILTER_SIZE take gigabytes, as from 44101 Hz."""
    common = math.gcd(rate, wanted)
    times = repetitions(wanted // common)
    return (times * wanted // common) * (times * rate // common)
