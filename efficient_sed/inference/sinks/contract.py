"""What takes the events of a listener."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efficient_sed.inference.live_events import Gap, LiveEvent

if TYPE_CHECKING:
    import numpy as np


class Sink:
    """Takes sound and events; what a kind has no use for does nothing.

    No method may raise for what can pass, such as a full disk or a network that is away: a listener runs on.
    """

    def hear(self, samples: np.ndarray) -> None:
        """Take the next samples, shape (samples,), before events in them."""

    def start(self, event: LiveEvent) -> None:
        """Take an event that has begun; `end` with the same id follows."""

    def end(self, event: LiveEvent) -> None:
        """Take an event that has ended."""

    def lose(self, gap: Gap) -> None:
        """Take the begin of a gap; all events have ended."""

    def resume(self, gap: Gap | None) -> None:
        """Take the end of a gap, or None for the first sound of all."""

    def close(self) -> None:
        """End; all events have ended."""
