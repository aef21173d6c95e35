"""Listening for months: a source is opened again where it breaks off, and events go to sinks."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from efficient_sed.data.events import Event
from efficient_sed.inference.detect_options import EventRule
from efficient_sed.inference.live_events import Gap, LiveEvent, local_time, unique_names
from efficient_sed.inference.live_selection import Selection
from efficient_sed.inference.sinks.contract import Sink
from efficient_sed.inference.sources.contract import POLL_S, IsEnded, Source, SourceLostError
from efficient_sed.inference.stream import Stream
from efficient_sed.inference.wall_clock import WallClock

logger = logging.getLogger(__name__)
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
"""Between attempts to open a source; doubled each time, from the first again after so much sound as the longest."""


class Listener:
    """Finds events in a source until it ends, and passes them on to sinks.

    A stream of its own scores the sound between two breaks, so that no event lies across a gap.

    Args:
        source: Where sound comes from.
        create_stream: Makes a stream for the source's sample rate.
        rule: How its scores become events.
        selection: Which events are passed on.
        sinks: What takes them.
    """

    def __init__(
        self,
        source: Source,
        create_stream: Callable[[], Stream],
        rule: EventRule,
        selection: Selection,
        sinks: Sequence[Sink],
    ) -> None:
        self._source, self._create_stream, self._rule = source, create_stream, rule
        self._selection, self._sinks = selection, sinks
        self._stream = create_stream()
        self._names = unique_names(self._stream.detector.classes)
        self._clock = WallClock(self._stream.sample_rate)
        self._num_samples = 0  # of the streams before
        self._computing_s = 0.0  # the same
        self._begun: dict[str, LiveEvent | None] = {}  # events that go on by label; None for one not passed on
        self._gap: Gap | None = None
        self._has_heard = False

    def run(self, is_ended: IsEnded) -> None:
        """Listen until the source or listening ends.

        Raises:
            DataError: If the source cannot be read, and not opened again either.
        """
        wait_s = FIRST_WAIT_S
        try:
            while (reason := self._follow(is_ended)) is not None:
                if self._stream.heard_s >= LONGEST_WAIT_S:
                    wait_s = FIRST_WAIT_S
                self._begin_gap(reason)
                if _wait(wait_s, is_ended):
                    break
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
                self._begin_stream()
        finally:
            for sink in self._sinks:
                sink.close()

    @property
    def heard_s(self) -> float:
        """Seconds of sound so far."""
        return self._before_s + self._stream.heard_s

    @property
    def computing_s(self) -> float:
        """Seconds that scores took."""
        return self._computing_s + self._stream.computing_s

    @property
    def _before_s(self) -> float:
        return self._num_samples / self._stream.sample_rate

    def _follow(self, is_ended: IsEnded) -> str | None:
        """Pass on events until the sound breaks off; returns why, None if it has ended."""
        reasons: list[str] = []

        def heard() -> Iterator[np.ndarray]:
            try:
                for chunk in self._source.chunks(is_ended):
                    if is_ended():
                        return
                    self._hear(chunk)
                    yield chunk
            except SourceLostError as error:
                reasons.append(str(error))

        for ended, going_on in self._stream.track(heard(), self._rule):
            for event in ended:
                self._end(event)
            for event in going_on:
                if event.label not in self._begun:
                    self._begin(event)
        return reasons[0] if reasons else None

    def _hear(self, chunk: np.ndarray) -> None:
        self._clock.add(len(chunk))
        if not self._has_heard:
            self._has_heard = True
            self._end_gap()
        for sink in self._sinks:
            sink.hear(chunk)

    def _begin_stream(self) -> None:
        self._computing_s = self.computing_s
        self._num_samples += round(self._stream.heard_s * self._stream.sample_rate)
        self._stream = self._create_stream()
        self._clock = WallClock(self._stream.sample_rate)
        self._has_heard = False

    def _begin(self, event: Event) -> None:
        live = self._timed(event)
        self._begun[event.label] = live if self._selection.admits(live) else None
        if self._begun[event.label] is not None:
            for sink in self._sinks:
                sink.start(live)

    def _end(self, event: Event) -> None:
        if event.label not in self._begun:
            self._begin(event)
        begun = self._begun.pop(event.label)
        if begun is None:
            return
        whole = self._timed(event)
        live = dataclasses.replace(begun, offset_s=whole.offset_s, score=whole.score, end=whole.end)
        self._selection.note_end(live)
        for sink in self._sinks:
            sink.end(live)

    def _timed(self, event: Event) -> LiveEvent:
        start, end = (local_time(self._clock.time_of(position_s)) for position_s in event[:2])
        before_s = self._before_s
        return LiveEvent(
            event.label,
            before_s + event.onset_s,
            before_s + event.offset_s,
            event.score,
            start,
            end,
            self._source.name,
            self._names[event.label],
        )

    def _begin_gap(self, reason: str) -> None:
        if self._gap is not None:  # it could not be opened
            return
        self._gap = Gap(local_time(self._clock.time_of(self._clock.position_s)), None, reason, self._source.name)
        logger.warning("%s: no sound any more (%s); opening it again until it is back", self._source.name, reason)
        for sink in self._sinks:
            sink.lose(self._gap)

    def _end_gap(self) -> None:
        gap, self._gap = self._gap, None
        if gap is not None:
            gap = dataclasses.replace(gap, end=local_time(self._clock.time_of(0.0)))
            logger.warning("%s: sound again, after %.1f s without", self._source.name, gap.seconds)
        for sink in self._sinks:
            sink.resume(gap)


def _wait(seconds: float, is_ended: IsEnded) -> bool:
    """Wait; returns early, with True, if listening ends."""
    until = time.monotonic() + seconds
    while not is_ended() and (left := until - time.monotonic()) > 0:
        time.sleep(min(left, POLL_S))
    return is_ended()
