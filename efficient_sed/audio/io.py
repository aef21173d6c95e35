"""Reading recordings: of any rate and number of channels, as one channel of float32 at one rate."""

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
MAX_FILTER_SIZE = 10**8  # weights of a resampling filter
MAX_KINDS = 5  # endings that a message names
CANCELLED = 0.1  # share of the power that the mean of independent channels has
_MARGIN_S = 1  # read around a block, so that resampling it equals resampling the whole; whole samples at any rate
MIN_JUDGED_S = 0.1
_STRIDE = 17  # between the samples whose power is compared; divides no usual rate


class AudioInfo(NamedTuple):
    """Length, sample rate in Hz and number of channels of a recording."""

    duration_s: float
    sample_rate: int
    channels: int


def find_audio(folder: Path, unreadable: list[str] | None = None) -> list[Path]:
    """Find all audio files below a folder, sorted, by their endings; hidden files are left out.

    Args:
        folder: Where to search.
        unreadable: A list that takes messages about folders that cannot be read. Default None: raise the first one.

    Raises:
        DataError: If a folder cannot be read and `unreadable` is None.
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
    """Get the length, sample rate and number of channels of a recording.

    The length is that of the decoded samples. If the header may be wrong about it, the whole file is decoded.

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
    """Read a recording, shape (samples,), float32; arguments and errors as for `AudioReader` and its `read`."""
    with AudioReader(path, sample_rate=sample_rate, channel=channel) as reader:
        return reader.read(start_s, duration_s)


class AudioReader:
    """An open recording, read as one channel at one rate.

    Args:
        path: A file, or an audio file in memory.
        sample_rate: To resample to, in Hz.
        channel: Counted from 1; default None, the mean of all.

    Raises:
        DataError: If the file cannot be opened or resampled, or has no such channel; the message names it.
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
            rate = f"a sample rate of {self._decoder.sample_rate} Hz cannot be resampled here"
            raise DataError(f"{self.path}: {rate}; convert it first: ffmpeg -i IN -ar {self.sample_rate} OUT.wav")
        if self.channel is not None and not 1 <= self.channel <= self._decoder.channels:
            channels = f"it has {self._decoder.channels}, counted from 1"
            raise DataError(f"{self.path}: has no channel {self.channel}; {channels}")

    def read(self, start_s: float = 0.0, duration_s: float | None = None) -> np.ndarray:
        """Read a part of the recording.

        Args:
            start_s: Where to begin, in seconds; must lie inside the file.
            duration_s: How much to read, in seconds; default None, the rest. A part beyond the end is left out.

        Returns:
            Shape (samples,), float32.

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
    """Whether channels cancel in their mean for some second, as they do if one is inverted.

    Shorter recordings are judged as a whole, those below 0.1 s not at all.

    Args:
        channels: Shape (samples, channels).
        mean: Over the channels, shape (samples,).
        sample_rate: In Hz.
    """
    starts = range(0, max(1, len(mean) - sample_rate + 1), sample_rate)
    blocks = (slice(start, start + sample_rate) for start in starts)
    return len(mean) >= MIN_JUDGED_S * sample_rate and any(
        _are_cancelled(channels[block], mean[block]) for block in blocks
    )


def _are_cancelled(channels: np.ndarray, mean: np.ndarray) -> bool:
    sampled, sampled_mean = channels[::_STRIDE].ravel(), mean[::_STRIDE]
    power_if_independent = np.dot(sampled, sampled) / channels.shape[1] ** 2
    return bool(np.dot(sampled_mean, sampled_mean) < CANCELLED * power_if_independent)


def filter_size(rate: int, wanted: int) -> int:
    """Estimate the weights of a resampling filter; above MAX_FILTER_SIZE they take gigabytes, as from 44101 Hz."""
    common = math.gcd(rate, wanted)
    times = repetitions(wanted // common)
    return (times * wanted // common) * (times * rate // common)
