"""Which of the events that a model finds are passed on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from efficient_sed.data.spelling import canonical
from efficient_sed.errors import ConfigError, nearest
from efficient_sed.inference.live_events import LiveEvent


class Selection:
    """Events of some classes, after a pause for each class.

    Args:
        classes: The model's labels.
        only: Labels of those that are passed on, joined by commas; default None, all.
        ignore: Labels of those that are not.
        cool_down_s: Seconds after the end of an event in which no other of its class is passed on.

    Raises:
        ConfigError: If a class is unknown, none is left, or the pause is negative.
    """

    def __init__(
        self, classes: Sequence[str], only: str | None = None, ignore: str | None = None, cool_down_s: float = 0.0
    ) -> None:
        if not 0 <= cool_down_s < float("inf"):
            raise ConfigError(f"--cool-down {cool_down_s:g} is not allowed: seconds, 0 or more")
        chosen = set(classes if only is None else parse_labels("--only", only, classes))
        chosen -= set(() if ignore is None else parse_labels("--ignore", ignore, classes))
        if not chosen:
            raise ConfigError("--only and --ignore leave no class of the model")
        self.labels = tuple(label for label in classes if label in chosen)
        self._chosen, self._cool_down_s = chosen, cool_down_s
        self._ends: dict[str, datetime] = {}

    def admits(self, event: LiveEvent) -> bool:
        """Whether an event that has begun is passed on."""
        if event.label not in self._chosen:
            return False
        last = self._ends.get(event.label)
        return last is None or (event.start - last).total_seconds() >= self._cool_down_s

    def note_end(self, event: LiveEvent) -> None:
        """Say that an event that was passed on has ended."""
        if self._cool_down_s:
            self._ends[event.label] = event.end


def parse_labels(option: str, text: str, classes: Sequence[str]) -> list[str]:
    """Labels from text such as `dog,Male speech, man speaking`; where several known ones fit, the longest is taken.

    Raises:
        ConfigError: If one is empty, or unknown; the message names the nearest.
    """
    known = {canonical(label): label for label in classes}
    by_length = sorted(known, key=len, reverse=True)
    rest, found = canonical(text).strip(), []
    while rest:
        label = next((label for label in by_length if f"{rest},".startswith(f"{label},")), None)
        if label is None:
            typed = rest.partition(",")[0]
            if not typed.strip():
                raise ConfigError(
                    f"{option} {text} is not allowed: it has an empty name; give classes, joined by commas"
                )
            raise ConfigError(f"{option} {typed} is not allowed: no such class; {nearest(typed, classes)}")
        found.append(known[label])
        rest = rest[len(label) + 1 :].strip()
    if not found:
        raise ConfigError(f"{option} is empty; give classes, joined by commas")
    return found
