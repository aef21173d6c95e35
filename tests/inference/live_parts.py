"""A detector of loudness that needs no weights, and what else tests of listening share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from efficient_sed.audio.grid import SAMPLE_RATE, FrameGrid
from efficient_sed.inference.live_events import Gap, LiveEvent, file_label
from efficient_sed.inference.sinks.contract import Sink
from efficient_sed.inference.sources.contract import IsEnded, Source, SourceLostError

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class LoudDetector:
    """Two classes, of which each frame says whether it is positive or negative on the whole."""

    classes = ["up", "down"]  # noqa: RUF012  # as models have it
    grid = FrameGrid()
    clip_seconds = 4.0
    median_frames = 3

    def score_frames(self, waveform: np.ndarray) -> np.ndarray:
        num_frames = self.grid.num_frames(waveform.shape[1])
        mean = waveform[:, : num_frames * 640].reshape(len(waveform), -1, 640).mean(axis=2)
        mean = np.pad(mean, ((0, 0), (0, num_frames - mean.shape[1])))
        return np.clip(np.stack([mean, -mean], axis=2), 0, 1).astype(np.float32)


def sound(*parts: tuple[float, float]) -> np.ndarray:
    """Levels and seconds, one after another."""
    pieces = (np.full(round(seconds * SAMPLE_RATE), level, np.float32) for level, seconds in parts)
    return np.concatenate([np.zeros(0, np.float32), *pieces])


class Pieces(Source):
    """A source that breaks off after each piece but the last; an empty piece cannot be opened."""

    name, is_reopened = "pieces", True

    def __init__(self, *pieces: np.ndarray, chunk: int = 1600) -> None:
        self._pieces, self._chunk = list(pieces), chunk

    def chunks(self, is_ended: IsEnded) -> Iterator[np.ndarray]:
        piece = self._pieces.pop(0)
        for begin in range(0, len(piece), self._chunk):
            yield piece[begin : begin + self._chunk]
        if self._pieces:
            raise SourceLostError("cable out")


class Kept(Sink):
    """Keeps all that it is told."""

    def __init__(self) -> None:
        self.heard = 0
        self.calls: list[tuple[str, LiveEvent | Gap | None]] = []

    def hear(self, samples: np.ndarray) -> None:
        self.heard += len(samples)

    def start(self, event: LiveEvent) -> None:
        self.calls.append(("start", event))

    def end(self, event: LiveEvent) -> None:
        self.calls.append(("end", event))

    def lose(self, gap: Gap) -> None:
        self.calls.append(("lose", gap))

    def resume(self, gap: Gap | None) -> None:
        self.calls.append(("resume", gap))

    def close(self) -> None:
        self.calls.append(("close", None))

    def events(self) -> list[LiveEvent]:
        return [item for name, item in self.calls if name == "end" and isinstance(item, LiveEvent)]


def event(label: str = "up", onset_s: float = 1.0, offset_s: float = 2.0, score: float = 0.9) -> LiveEvent:
    start, end = (BEGIN + timedelta(seconds=seconds) for seconds in (onset_s, offset_s))
    return LiveEvent(label, onset_s, offset_s, score, start, end, "test", file_label(label))


needs_ffmpeg = pytest.mark.skipif(
    shutil.which("ffmpeg") is None, reason="the program ffmpeg is not installed: apt-get install ffmpeg"
)
