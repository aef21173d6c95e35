"""A folder of clips: the sound of each event, as FLAC."""

from __future__ import annotations

import logging
import re
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from efficient_sed.audio.flac import encode_flac
from efficient_sed.files.atomic import write_atomically
from efficient_sed.inference.live_events import Gap, LiveEvent
from efficient_sed.inference.sinks.contract import Sink

logger = logging.getLogger(__name__)
MAX_EVENT_S = 60.0
"""Seconds of a longer event that its clip holds."""
OWN_NAME = re.compile(r"\d{8}T\d{6}\.\d{3}Z_[\w-]+\.flac")
EMPTIED = 0.95
"""Share of the allowed size that is left when files are removed, so that the folder is seldom listed."""


@dataclass
class _Clip:
    """A clip that is not written yet; borders in samples since listening began."""

    id: str
    begin: int
    end: int
    is_over: bool = False


class Clips(Sink):
    """Writes the sound of each event with a margin; its name is the event's id.

    Args:
        folder: Where to; made if it is not there.
        sample_rate: In Hz.
        delay_s: Seconds after its onset at which an event is known at the latest.
        margin_s: Seconds before onset and after offset.
        keep_bytes: Size that the oldest of its clips are removed beyond, never the newest; default None, all are kept.
    """

    def __init__(
        self, folder: Path, sample_rate: int, delay_s: float, margin_s: float = 1.0, keep_bytes: float | None = None
    ) -> None:
        self._folder, self._sample_rate, self._keep_bytes = folder, sample_rate, keep_bytes
        self._margin, self._longest = self._samples(margin_s), self._samples(MAX_EVENT_S)
        self._kept = self._longest + 2 * self._margin + self._samples(delay_s + 1.0)
        self._sound: deque[np.ndarray] = deque()
        self._begin = self._end = 0  # of the sound that is kept, in samples
        self._waiting: list[_Clip] = []
        self._num_failed = 0
        self._is_too_small = False  # whether there was a warning about the allowed size
        self._num_bytes = 0.0 if keep_bytes is None else self._measure()

    def hear(self, samples: np.ndarray) -> None:
        """See `Sink.hear`."""
        self._sound.append(np.rint(np.clip(samples, -1, 1) * 32767).astype(np.int16))
        self._end += len(samples)
        while self._end - self._begin - len(self._sound[0]) >= self._kept:
            self._begin += len(self._sound.popleft())
        due = [clip for clip in self._waiting if self._end >= (clip.end if clip.is_over else clip.begin + self._most)]
        for clip in due:
            self._write(clip)

    def start(self, event: LiveEvent) -> None:
        """See `Sink.start`."""
        onset = self._samples(event.onset_s)
        self._waiting.append(_Clip(event.id, onset - self._margin, onset + self._longest + self._margin))

    def end(self, event: LiveEvent) -> None:
        """See `Sink.end`."""
        for clip in self._waiting:
            if clip.id == event.id:
                clip.end = min(clip.end, self._samples(event.offset_s) + self._margin)
                clip.is_over = True

    def lose(self, gap: Gap) -> None:
        """See `Sink.lose`; no clip goes on behind a gap."""
        self._write_all()
        self._sound.clear()
        self._begin = self._end

    def close(self) -> None:
        """See `Sink.close`."""
        self._write_all()
        if self._num_failed:
            logger.warning("%s: could not be written; %d are missing", self._folder, self._num_failed)

    def _write_all(self) -> None:
        for clip in list(self._waiting):
            self._write(clip)

    @property
    def _most(self) -> int:
        return self._longest + 2 * self._margin

    def _samples(self, seconds: float) -> int:
        return round(seconds * self._sample_rate)

    def _write(self, clip: _Clip) -> None:
        """Write a clip; what fails is said once, and again when it works again."""
        self._waiting.remove(clip)
        begin, end = (min(max(border - self._begin, 0), self._end - self._begin) for border in (clip.begin, clip.end))
        encoded = encode_flac(np.concatenate(self._sound)[begin:end], self._sample_rate)
        path = self._folder / f"{clip.id}.flac"
        try:
            write_atomically(path, encoded)
        except OSError as error:
            if self._num_failed == 0:
                logger.warning(
                    "%s: cannot be written (%s); listening goes on, clips are left out until it can",
                    self._folder, error.strerror or error,
                )  # fmt: skip
            self._num_failed += 1
            return
        if self._num_failed:
            logger.warning("%s: clips are written again; %d are missing", self._folder, self._num_failed)
            self._num_failed = 0
        self._num_bytes += len(encoded)
        if self._keep_bytes is not None and self._num_bytes > self._keep_bytes:
            self._num_bytes = self._measure(EMPTIED * self._keep_bytes, path)
            self._warn_too_small(len(encoded))

    def _warn_too_small(self, num_bytes: int) -> None:
        """Say once that a single clip of so many bytes is beyond the allowed size."""
        if self._keep_bytes is not None and num_bytes > self._keep_bytes and not self._is_too_small:
            self._is_too_small = True
            logger.warning(
                "%s: a clip has %d bytes, more than --keep-gb %g allows; the newest clip alone is kept",
                self._folder, num_bytes, self._keep_bytes / 1e9,
            )  # fmt: skip

    def _measure(self, keep_bytes: float = float("inf"), newest: Path | None = None) -> float:
        """Bytes of own clips, after the oldest ones beyond a size were removed; the newest one stays."""
        try:
            own = sorted(path for path in self._folder.iterdir() if OWN_NAME.fullmatch(path.name) and path.is_file())
            sizes = [path.stat().st_size for path in own]
            num_bytes = float(sum(sizes))
            for path, size in zip(own, sizes, strict=True):
                if num_bytes <= keep_bytes:
                    break
                if path == newest:
                    continue
                path.unlink(missing_ok=True)
                num_bytes -= size
        except OSError:  # writing says what is wrong with the folder; it is measured again after the next clip
            return float("inf")
        return num_bytes
