"""A recording, read as if it were going on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from efficient_sed.audio.io import AudioReader, audio_info
from efficient_sed.inference.sources.contract import IsEnded, Source

READ_S = 5.0


class RecordingSource(Source):
    """An audio file, as fast as it can be scored.

    Args:
        path: The file.
        sample_rate: To resample to, in Hz.
        channel: Counted from 1; None for the mean of all.

    Raises:
        DataError: If it is missing, or no audio.
    """

    def __init__(self, path: Path, sample_rate: int, channel: int | None) -> None:
        self.name, self._path, self._sample_rate, self._channel = str(path), path, sample_rate, channel
        self._duration_s = audio_info(path).duration_s

    def chunks(self, is_ended: IsEnded) -> Iterator[np.ndarray]:
        """See `Source.chunks`."""
        given = 0
        with AudioReader(self._path, sample_rate=self._sample_rate, channel=self._channel) as reader:
            for index in range(int(np.ceil(self._duration_s / READ_S))):
                if is_ended():
                    return
                samples = reader.read(index * READ_S, READ_S)[: round((index + 1) * READ_S * self._sample_rate) - given]
                given += len(samples)  # at some rates a block has one sample more
                yield samples
