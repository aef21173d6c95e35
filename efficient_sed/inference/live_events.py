"""What is found in sound that is still going on, with its time of day: events, and gaps where a source was lost."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


def local_time(seconds: float) -> datetime:
    """The time of day, with the machine's zone, of seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC).astimezone()


@dataclass(frozen=True)
class LiveEvent:
    """An event that has begun, and perhaps ended."""

    label: str
    onset_s: float
    """Seconds of sound since listening began; gaps do not count."""
    offset_s: float
    """The same; while the event goes on, so far."""
    score: float
    """The highest one inside; while the event goes on, so far."""
    start: datetime
    end: datetime
    source: str
    name: str
    """Of `unique_names`: the label in letters that any file system takes, unlike those of the model's other labels."""

    @property
    def id(self) -> str:
        """Start in UTC and name, in letters that any file system takes; sorts by time."""
        start = self.start.astimezone(UTC)
        return f"{start:%Y%m%dT%H%M%S}.{start.microsecond // 1000:03d}Z_{self.name}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "type": "event",
            "id": self.id,
            "time": _text(self.start),
            "end": _text(self.end),
            "onset_s": round(self.onset_s, 3),
            "offset_s": round(self.offset_s, 3),
            "label": self.label,
            "score": round(self.score, 4),
            "source": self.source,
        }


@dataclass(frozen=True)
class Gap:
    """A time without sound, from the last sample before it."""

    start: datetime
    end: datetime | None
    """None while it goes on."""
    reason: str
    source: str

    @property
    def seconds(self) -> float | None:
        """Its length; none if it has not ended. A source that is faster than real time has gaps of 0 s."""
        return None if self.end is None else max(0.0, (self.end - self.start).total_seconds())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "type": "gap",
            "time": _text(self.start),
            "end": None if self.end is None else _text(self.end),
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "reason": self.reason,
            "source": self.source,
        }


def file_label(label: str) -> str:
    """A label without what separates words of a path or a topic."""
    return re.sub(r"[^\w-]+", "_", label).strip("_") or "_"


def unique_names(labels: Iterable[str], shorten: Callable[[str], str] = file_label) -> dict[str, str]:
    """By label its shortened name; a number makes it unlike all others, even where capitals do not count."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for label in labels:
        plain = name = shorten(label)
        number = 2
        while name.casefold() in taken:
            name, number = f"{plain}_{number}", number + 1
        taken.add(name.casefold())
        names[label] = name
    return names


def _text(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds")
