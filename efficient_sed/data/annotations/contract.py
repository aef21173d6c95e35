"""The base class of annotation formats, and writing detections in any of them.

A new format is one file in this folder with a class under `@ANNOTATION_FORMATS.register("name")`.
`efficient-sed detect` offers it as `--format name`; if it overrides `parse`, data sets and ground truths are read from
files with its ending.
"""

from __future__ import annotations

import abc
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from efficient_sed.data.labels import label_problem
from efficient_sed.data.spelling import check_spellings
from efficient_sed.errors import ConfigError, DataError, escape_json, nearest
from efficient_sed.registry import ANNOTATION_FORMATS

if TYPE_CHECKING:
    from efficient_sed.data.events import Event

_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")  # surrogates: bytes that are not UTF-8
_NO_DURATIONS: Mapping[str, float] = MappingProxyType({})

Events = Mapping[str, "Sequence[Event]"]
"""Events by the name of their recording."""


class AnnotationFormat(abc.ABC):
    """One format of annotation files. Times are seconds."""

    name: ClassVar[str]
    """Set by `ANNOTATION_FORMATS.register`."""
    ending: ClassVar[str]
    """Of its files, such as ".tsv"."""
    holds_many: ClassVar[bool] = True
    """Whether a file may hold several recordings."""
    is_read: ClassVar[bool] = False
    """Whether `parse` is implemented."""

    @abc.abstractmethod
    def format(self, events: Events, durations_s: Mapping[str, float]) -> str:
        """Write detected events as text; `check_names` and `check_labels` have accepted their names and labels.

        Args:
            events: By recording; of one recording if not `holds_many`.
            durations_s: Lengths of the recordings in seconds, where they are known.
        """

    def parse(self, path: Path) -> dict[str, list[Event]]:
        """Read events by recording; a recording without events has an empty list.

        Raises:
            DataError: If the file cannot be read or a row makes no sense; the message names file and line.
        """
        raise NotImplementedError

    def name_problem(self, names: Sequence[str]) -> str | None:
        """Why the format cannot hold these names of recordings; default None, it can."""
        return None

    def label_problem(self, labels: Sequence[str]) -> str | None:
        """Why the format cannot hold these labels; None if it can."""
        return label_problem(labels)

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
    return ANNOTATION_FORMATS.get(name)()


def reading_format(path: Path) -> AnnotationFormat:
    """The format that reads a file, by its ending; tab-separated values where no other format has it."""
    formats = (find_format(name) for name in ANNOTATION_FORMATS.names())
    own = (each for each in formats if each.is_read and each.ending == path.suffix.lower())
    return next(own, find_format("tsv"))


def format_events(events: Events, format_name: str, durations_s: Mapping[str, float] = _NO_DURATIONS) -> str:
    """Detected events as text with a line break at its end.

    Args:
        events: By recording.
        format_name: One of `ANNOTATION_FORMATS`.
        durations_s: Lengths of the recordings in seconds; a format that holds them writes null for what is missing.

    Raises:
        ConfigError: If the format is unknown, holds one recording and several are given, or cannot hold a name or
            label.
    """
    chosen = find_format(format_name)
    check_names(list(events), format_name)
    check_labels(sorted({event.label for found in events.values() for event in found}), format_name)
    if len(events) != 1 and not chosen.holds_many:
        raise ConfigError(
            f"format={format_name} is not allowed for {len(events)} files in one text: it belongs to one recording"
        )
    return chosen.format(events, durations_s)


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
