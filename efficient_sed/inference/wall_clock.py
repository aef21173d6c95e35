"""The time of day of samples."""

from __future__ import annotations

import time
from collections.abc import Callable

CHECKED_S = 60.0
"""Seconds of sound from one comparison with the machine's clock to the next."""
LIVE_S = 1.0
"""So many seconds more or less may they take, for the sound to count as live."""
ALLOWED_S = 0.25
"""Seconds that the clocks may differ by."""


class WallClock:
    """Time of day of a stream of samples: that of its first sample and the sound since.

    Sound cards drift by seconds a day, and a board may get the right time after it began to listen. So where the sound
    comes live, one second in a second, the clock follows the machine's: by the least delay in each minute, since
    computing can only make a chunk late.

    Args:
        sample_rate: In Hz.
        now: Seconds since 1970.
        ticks: Seconds of a clock that nobody sets.
    """

    def __init__(
        self, sample_rate: int, now: Callable[[], float] = time.time, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._sample_rate, self._now, self._ticks = sample_rate, now, ticks
        self._start = now()
        self._num_samples = 0
        self._checked_s, self._checked_ticks, self._delay_s = 0.0, ticks(), float("inf")

    def add(self, num_samples: int) -> None:
        """Say that samples have come in just now."""
        if self._num_samples == 0:
            self._start = self._now() - num_samples / self._sample_rate
            self._begin_check()
        self._num_samples += num_samples
        self._delay_s = min(self._delay_s, self._now() - self.time_of(self.position_s))
        if (heard_s := self.position_s - self._checked_s) >= CHECKED_S:
            is_live = abs(self._ticks() - self._checked_ticks - heard_s) < LIVE_S
            if is_live and abs(self._delay_s) > ALLOWED_S:
                self._start += self._delay_s
            self._begin_check()

    @property
    def position_s(self) -> float:
        """Seconds of sound so far."""
        return self._num_samples / self._sample_rate

    def time_of(self, position_s: float) -> float:
        """Seconds since 1970 at a position in the sound."""
        return self._start + position_s

    def _begin_check(self) -> None:
        self._checked_s, self._checked_ticks, self._delay_s = self.position_s, self._ticks(), float("inf")
