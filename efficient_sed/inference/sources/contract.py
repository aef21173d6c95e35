"""What a source of sound is, and how it waits for sound."""

from __future__ import annotations

import queue
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from efficient_sed.errors import DataError

if TYPE_CHECKING:
    import numpy as np

BLOCK_S = 0.1
POLL_S = 0.2
"""Seconds after which a source that waits asks whether listening has ended."""
SILENT_S = 10.0
"""Seconds without a sample after which a source counts as lost."""
BlockT = TypeVar("BlockT")
IsEnded = Callable[[], bool]


class SourceLostError(DataError):
    """A source that can be opened again gives no more sound."""


class Source(ABC):
    """A source of sound."""

    name: str
    """As results show it, without a password."""
    is_reopened: bool = False
    """Whether it has no end of its own, and is opened again where it stops."""

    @abstractmethod
    def chunks(self, is_ended: IsEnded) -> Iterator[np.ndarray]:
        """Open it, and read on until it ends.

        Args:
            is_ended: Whether listening has ended; asked while the source waits.

        Yields:
            Chunks of any size, shape (samples,), float32 in [-1, 1].

        Raises:
            SourceLostError: If it stops and can be opened again.
            DataError: If it cannot be read.
        """


def next_block(blocks: queue.Queue[BlockT], is_ended: IsEnded) -> BlockT | None:
    """Wait for a block that another thread puts into a queue.

    Returns:
        None if listening has ended.

    Raises:
        SourceLostError: If none comes for `SILENT_S`.
    """
    until = time.monotonic() + SILENT_S
    while not is_ended():
        try:
            return blocks.get(timeout=POLL_S)
        except queue.Empty:
            if time.monotonic() > until:
                raise SourceLostError(f"no sound for {SILENT_S:g} s") from None
    return None
