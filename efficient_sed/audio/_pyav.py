"""Decoding by FFmpeg's libraries, through PyAV (https://pyav.basswood-io.com)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from efficient_sed.audio.encoded import (
    MAX_PER_BYTE,
    SUFFIXES,
    AudioInput,
    EncodedAudio,
    MissingDecoderError,
    check_rate,
    check_values,
    open_bytes,
    warn_once,
)
from efficient_sed.errors import DataError

MAX_BAD = 0.05  # share of a file's bytes in packets that cannot be decoded; one packet is always allowed
MIN_SOUND = 0.8  # share of a file's bytes in packets of sound; less is worth a warning
# None of them opens other files or addresses.
_DEMUXERS = "wav,w64,aiff,au,caf,flac,ogg,mp3,mov,aac,asf,wv,matroska,amr"
_FULL_SCALE = {"u8": 2**7, "s16": 2**15, "s32": 2**31, "s64": 2**63}


class PyavDecoder:
    """Decodes forward only: to read samples before the last ones, it starts again from the beginning.

    Args:
        path: The recording.
        num_bytes: Its size.
        refusal: Why libsndfile cannot read it.
        ignores_length: Take all bytes behind the header of a WAV file for samples.

    Raises:
        DataError: If it is no audio, or PyAV is not installed.
    """

    def __init__(self, path: AudioInput, num_bytes: int, refusal: str = "", *, ignores_length: bool = False) -> None:
        self.path, self._num_bytes, self._ignores_length = path, num_bytes, ignores_length
        self._blocks: Iterator[np.ndarray] | None = None
        self._kept: list[np.ndarray] = []
        self._kept_first = 0
        try:
            import av
        except ModuleNotFoundError:
            reason = refusal or "its header does not state its length"
            advice = "pip install av, or convert it: ffmpeg -i IN OUT.flac"
            raise MissingDecoderError(f"{path}: {reason}; reading it needs the package av: {advice}") from None
        av.logging.set_level(av.logging.PANIC)
        try:
            with self._opened() as (_, stream):
                codec = stream.codec_context
                self.sample_rate, self.channels = int(codec.sample_rate), int(codec.channels)
        except LookupError as error:
            raise DataError(f"{path}: there is no sound in it") from error
        except (av.FFmpegError, OSError, ValueError) as error:
            reason = refusal or getattr(error, "strerror", "") or str(error)
            endings = ", ".join(suffix[1:] for suffix in SUFFIXES)
            raise DataError(f"{path}: not readable as audio ({reason}); supported: {endings}") from error
        check_rate(path, self.sample_rate)

    def count_samples(self) -> int:
        """As `Decoder.count_samples`; the whole file is decoded, and the count is kept."""
        if isinstance(self.path, EncodedAudio):
            return self._count()
        return _count_samples(str(self.path), self._num_bytes, Path(self.path).stat().st_mtime_ns, self._ignores_length)

    def _count(self) -> int:
        return sum(len(block) for block in self._decode())

    def read(self, first: int, count: int) -> np.ndarray:
        """As `Decoder.read`."""
        if self._blocks is None or first < self._kept_first:
            self._blocks, self._kept, self._kept_first = self._decode(), [], 0
        end = self._kept_first + sum(map(len, self._kept))
        while end < first + count and (block := next(self._blocks, None)) is not None:
            self._kept.append(block)
            end += len(block)
            self._forget_before(first)
            check_values(self.path, end - first, self.channels, self.sample_rate)
        self._forget_before(first)
        joined = np.concatenate(self._kept) if self._kept else np.zeros((0, self.channels), np.float32)
        return joined[first - self._kept_first :][:count]

    def _forget_before(self, first: int) -> None:
        while self._kept and self._kept_first + len(self._kept[0]) <= first:
            self._kept_first += len(self._kept.pop(0))

    def close(self) -> None:
        """Stop decoding, which closes the file."""
        self._blocks = None

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[Any, Any]]:
        import av

        options = {"format_whitelist": _DEMUXERS, "protocol_whitelist": "file"}
        if self._ignores_length:
            options["ignore_length"] = "1"
        with open_bytes(self.path) as file, av.open(file, options=options, metadata_errors="replace") as container:
            yield container, container.streams.audio[0]

    def _decode(self) -> Iterator[np.ndarray]:
        """All samples, in blocks (samples, channels)."""
        import av

        num_samples, num_bad, bad_bytes, sizes = 0, 0, 0, [0]
        with self._opened() as (container, stream):
            is_sound_alone = len(container.streams) == 1
            packets = container.demux(stream)
            while True:
                packet = None
                try:
                    if (packet := next(packets, None)) is None:
                        break
                    sizes.append(packet.size)
                    for frame in packet.decode():
                        block = self._to_block(frame, num_samples)
                        num_samples += len(block)
                        yield block
                except (av.FFmpegError, OSError):
                    num_bad += 1
                    bad_bytes += packet.size if packet is not None else 0
                if num_samples > MAX_PER_BYTE * self._num_bytes:
                    raise DataError(f"{self.path}: damaged audio ({num_samples} samples in {self._num_bytes} bytes)")
        if num_samples == 0 or bad_bytes > max(MAX_BAD * sum(sizes), *sizes):
            raise DataError(f"{self.path}: damaged audio ({num_bad} of {len(sizes) - 1} packets cannot be decoded)")
        if num_bad:
            bad = f"{num_bad} of {len(sizes) - 1} packets cannot be decoded"
            rest = f"the other {num_samples / self.sample_rate:.2f} s are used"
            warn_once(f"{self.path}: {bad} (it is cut off, or joined from several files); {rest}")
        elif is_sound_alone and sum(sizes) < MIN_SOUND * self._num_bytes:
            share = f"{self._num_bytes - sum(sizes)} of {self._num_bytes} bytes are not decoded"
            reason = "it is damaged, another recording is joined to it, or it holds pictures"
            warn_once(f"{self.path}: {share} ({reason}); {num_samples / self.sample_rate:.2f} s are used")

    def _to_block(self, frame: Any, position: int) -> np.ndarray:
        channels = frame.layout.nb_channels
        if (frame.sample_rate, channels) != (self.sample_rate, self.channels):
            old, new = f"{self.sample_rate} Hz, {self.channels}", f"{frame.sample_rate} Hz, {channels}"
            change = f"from {old} channels to {new} channels at {position / self.sample_rate:.2f} s"
            raise DataError(f"{self.path}: changes {change}; convert it first: ffmpeg -i IN OUT.flac")
        values = frame.to_ndarray()
        samples = values.T if frame.format.is_planar else values.reshape(-1, channels)
        scale = _FULL_SCALE.get(frame.format.name.removesuffix("p"))
        if scale is None:
            return np.ascontiguousarray(samples, np.float32)
        centred = samples.astype(np.float32) - (scale if values.dtype == np.uint8 else 0)
        return np.asarray(centred / np.float32(scale), dtype=np.float32)


@lru_cache(maxsize=65536)
def _count_samples(path: str, num_bytes: int, _modified_ns: int, ignores_length: bool) -> int:
    return PyavDecoder(path, num_bytes, ignores_length=ignores_length)._count()
