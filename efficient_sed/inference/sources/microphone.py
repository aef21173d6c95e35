"""The default microphone, opened again when it comes back."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from efficient_sed.errors import DataError, MissingDependencyError
from efficient_sed.inference.sources.contract import BLOCK_S, IsEnded, Source, SourceLostError, next_block

logger = logging.getLogger(__name__)
MAX_BEHIND_S = 30.0
"""Seconds of sound that may wait to be scored."""


class MicrophoneSource(Source):
    """The default microphone.

    Args:
        sample_rate: In Hz.

    Raises:
        MissingDependencyError: Without the package sounddevice.
    """

    name, is_reopened = "microphone", True

    def __init__(self, sample_rate: int) -> None:
        try:
            import sounddevice
        except (ImportError, OSError) as error:  # OSError: without the library PortAudio
            raise MissingDependencyError("--microphone", "sounddevice", "microphone") from error
        self._device, self._sample_rate, self._was_open = sounddevice, sample_rate, False

    def chunks(self, is_ended: IsEnded) -> Iterator[np.ndarray]:
        """See `Source.chunks`; one that has never worked is an error."""
        if self._was_open:  # PortAudio lists devices once, when it starts
            self._device._terminate()
            self._device._initialize()
        try:
            yield from self._blocks(is_ended)
        except self._device.PortAudioError as error:
            if self._was_open:
                raise SourceLostError(str(error)) from error
            raise DataError(
                f"the microphone cannot be read at {self._sample_rate} Hz ({error}); give another rate as --rate HZ"
            ) from error

    def _blocks(self, is_ended: IsEnded) -> Iterator[np.ndarray]:
        blocks: queue.Queue[np.ndarray] = queue.Queue(round(MAX_BEHIND_S / BLOCK_S))
        lost, is_full = threading.Event(), threading.Event()

        def take(block: Any, frames: int, when: Any, status: Any) -> None:  # noqa: ARG001 (sounddevice's signature)
            if status.input_overflow:
                lost.set()
            try:
                blocks.put_nowait(block[:, 0].copy())
            except queue.Full:
                is_full.set()

        size = round(BLOCK_S * self._sample_rate)
        with self._device.InputStream(self._sample_rate, size, channels=1, dtype="float32", callback=take):
            self._was_open = True
            while (block := next_block(blocks, is_ended)) is not None:
                yield block
                if is_full.is_set():
                    raise SourceLostError(f"the machine is too slow: {MAX_BEHIND_S:g} s of sound wait to be scored")
                if lost.is_set():
                    logger.warning("the machine is too slow or too busy: a little sound was lost")
                    lost.clear()
