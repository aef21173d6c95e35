"""The base class of annotation formats, and writing events in any of them; `reading` reads files.

A new format is one file in this folder with a class under `@ANNOTATION_FORMATS.register("name")`.
`efficient-sed detect` and `data convert` offer it by its name; files are read with it if it overrides `recognises` and
`parse`.
"""

from __future__ import annotations

import abc
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from efficient_sed.data.labels import label_problem
from efficient_sed.data.spelling import check_spellings
from efficient_sed.errors import ConfigError, DataError, escape_json, nearest
from efficient_sed.files.json import parse_json
from efficient_sed.registry import ANNOTATION_FORMATS

if TYPE_CHECKING:
    from efficient_sed.data.events import Event

_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")  # surrogates: bytes that are not UTF-8
_NOTHING: Mapping[str, Any] = MappingProxyType({})
SHOWN_NAMES = 3  # in a message about many recordings
SCORE_DECIMALS = 4

Events = Mapping[str, "Sequence[Event]"]
"""Events by the name of their recording."""


@dataclass(frozen=True)
class Annotations:
    """What annotation files hold."""

    events: Events
    """A recording without events has an empty list."""
    durations_s: Mapping[str, float] = field(default_factory=dict)
    """Lengths of the recordings in seconds, where they are known."""
    has_scores: bool = False
    """Whether events have scores, as detections do; those of annotations all have score 1."""
    notes: tuple[str, ...] = ()
    """What was left out in reading, a line each."""


@dataclass(frozen=True)
class Source:
    """An annotation file that is read."""

    path: Path
    text: str
    recording: str
    """The recording that it stands for if it names none: its own name without ending."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Columns that the user named: onset, offset, label, filename; score if it holds soft labels."""

    @property
    def is_soft(self) -> bool:
        """Whether the scores are labels, which every event then has."""
        return "score" in self.columns

    @property
    def header(self) -> str:
        """The first line."""
        return self.text[: 1 << 16].lstrip("\r\n").partition("\n")[0].partition("\r")[0]

    @cached_property
    def json(self) -> Any:
        """The content of a JSON file; None if it is none."""
        return None if isinstance(self._json, ValueError) else self._json

    @cached_property
    def _json(self) -> Any:
        try:
            return parse_json(self.text) if self.text.lstrip()[:1] in ("{", "[") else None
        except ValueError as error:
            return error

    def check_json(self) -> None:
        """Raise a DataError if the text begins as JSON and is broken."""
        if isinstance(self._json, ValueError):
            raise DataError(f"{self.path}: broken JSON: {self._json}")


class AnnotationFormat(abc.ABC):
    """One format of annotation files. Times are seconds."""

    name: ClassVar[str]
    """Set by `ANNOTATION_FORMATS.register`."""
    ending: ClassVar[str]
    """Of the files that are written, such as ".tsv"."""
    holds_many: ClassVar[bool] = True
    """Whether a file that is written may hold several recordings."""
    holds_scores: ClassVar[bool] = True
    """Whether scores of events are written."""
    holds_empty: ClassVar[bool] = True
    """Whether a recording without events is written."""
    holds_durations: ClassVar[bool] = False
    """Whether lengths of recordings are written."""
    roles: ClassVar[tuple[str, ...]] = ()
    """Of columns that the user may name: onset, offset, label, filename."""
    decimals: ClassVar[int] = 6
    """Of a second, to which times are written."""
    is_fallback: ClassVar[bool] = False
    """Whether a file is only taken for this format if it is in no other."""

    @abc.abstractmethod
    def format(self, annotations: Annotations) -> str:
        """Write events as text, of one recording if not `holds_many`.

        `check_names` and `check_labels` have accepted the names and labels.
        """

    def recognises(self, source: Source) -> bool:
        """Whether a file is in this format, by its content."""
        return False

    def parse(self, source: Source) -> Annotations:
        """Read a file.

        Raises:
            DataError: If something in it makes no sense; the message names file and place.
        """
        raise DataError(f"{source.path}: files in the format {self.name} are written, and not read")

    def name_problem(self, names: Sequence[str]) -> str | None:
        """Why the format cannot hold these names of recordings; default None, it can."""
        return None

    def label_problem(self, labels: Sequence[str]) -> str | None:
        """Why the format cannot hold these labels; None if it can."""
        return label_problem(labels)

    def losses(self, annotations: Annotations) -> list[str]:
        """What of these annotations is not written, in a few words each."""
        lost = []
        if annotations.has_scores and not self.holds_scores:
            lost.append(f"scores of {sum(map(len, annotations.events.values())):,} events")
        if (empty := [name for name, found in annotations.events.items() if not found]) and not self.holds_empty:
            shown = ", ".join(empty[:SHOWN_NAMES]) + (", …" if len(empty) > SHOWN_NAMES else "")
            lost.append(f"{len(empty):,} recordings without events ({shown})")
        times = {time for found in annotations.events.values() for event in found for time in event[:2]}
        if rounded := sum(abs(round(time, self.decimals) - time) >= 1e-6 for time in times):
            lost.append(f"more than {self.decimals} decimals of {rounded:,} times")
        if annotations.has_scores and self.holds_scores:
            scores = [event.score for found in annotations.events.values() for event in found]
            if rounded := sum(abs(round(score, SCORE_DECIMALS) - score) >= 1e-6 for score in scores):
                lost.append(f"more than {SCORE_DECIMALS} decimals of {rounded:,} scores")
        if annotations.durations_s and not self.holds_durations:
            lost.append(f"lengths of {len(annotations.durations_s):,} recordings")
        return lost

    def is_detections(self, start: str) -> bool:
        """Whether a file that begins so was written by `detect`, which may then replace it without `--overwrite`."""
        return False


def find_format(name: str) -> AnnotationFormat:
    """Find a format by its name.

    Raises:
        ConfigError: If no format has it; the message lists the names.
    """
    if name not in (names := ANNOTATION_FORMATS.names()):
        raise ConfigError(f"format={name} is not allowed: {nearest(name, names)}")
    found: AnnotationFormat = ANNOTATION_FORMATS.get(name)()
    return found


def format_events(events: Events, format_name: str, durations_s: Mapping[str, float] = _NOTHING) -> str:
    """Detected events as text with a line break at its end.

    Args:
        events: By recording.
        format_name: One of `ANNOTATION_FORMATS`.
        durations_s: Lengths of the recordings in seconds; a format that holds them writes null for what is missing.

    Raises:
        ConfigError: If the format is unknown, holds one recording and several are given, or cannot hold a name or
            label.
    """
    return format_annotations(Annotations(events, durations_s, has_scores=True), format_name)


def format_annotations(annotations: Annotations, format_name: str) -> str:
    """Annotations as text, as `format_events`."""
    chosen, events = find_format(format_name), annotations.events
    check_names(list(events), format_name)
    check_labels(sorted({event.label for found in events.values() for event in found}), format_name)
    if len(events) != 1 and not chosen.holds_many:
        raise ConfigError(
            f"format={format_name} is not allowed for {len(events)} files in one text: it belongs to one recording"
        )
    return chosen.format(annotations)


def check_names(names: Sequence[str], format_name: str) -> None:
    """Raise a ConfigError if the format cannot hold a name of a recording."""
    try:
        check_spellings(names)
    except DataError as error:
        raise ConfigError(f"format={format_name} is not allowed: {error}") from error
    if problem := find_format(format_name).name_problem(names):
        raise ConfigError(f"format={format_name} is not allowed: {problem}")


def check_labels(labels: Sequence[str], format_name: str) -> None:
    """Raise a ConfigError if the format cannot hold a label."""
    if problem := find_format(format_name).label_problem(labels):
        raise ConfigError(f"format={format_name} is not allowed: {problem}; take json or jams")


def unfit_name(name: str) -> str:
    """Message about a name of a recording that a format cannot hold."""
    return f"it cannot hold the name {name!r}; take json, or rename the file"


def has_controls(text: str) -> bool:
    """Whether a text holds control characters other than tabs and line ends, or bytes that are not UTF-8."""
    return _CONTROLS.search(text) is not None


def to_json(content: object) -> str:
    """JSON of an annotation file, readable, with control characters escaped."""
    return escape_json(json.dumps(content, indent=2, ensure_ascii=False)) + "\n"
