"""Praat's TextGrid: tiers of intervals that follow each other without a gap; an empty text is no event.

https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html. Only what stands free counts: numbers, texts in
quotation marks and <flags>; everything else is a remark, so that the long and the short form are read alike. Points
have no length, and are left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from efficient_sed.data.annotations.checked import make_event
from efficient_sed.data.annotations.contract import AnnotationFormat, Annotations, Source
from efficient_sed.errors import DataError, nearest
from efficient_sed.registry import ANNOTATION_FORMATS

if TYPE_CHECKING:
    from efficient_sed.data.events import Event

_TOKEN = re.compile(
    r'"(?P<text>(?:[^"]|"")*)"|(?P<remark>!.*)|(?P<flag><\w+>)'
    r"|(?<!\S)(?P<number>[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)[a-z%]*(?!\S)|\S+"
)
_START = re.compile(r'\s*(File type = )?"ooTextFile( short)?"\s+(Object class = )?"TextGrid')
INTERVALS, POINTS = "IntervalTier", "TextTier"


@ANNOTATION_FORMATS.register("textgrid")
class TextGrid(AnnotationFormat):
    """Written in the long form, a tier for each class; detections look like annotations, and are never replaced."""

    ending = ".TextGrid"
    holds_many = False
    holds_scores = False
    holds_durations = True
    roles = ("label",)

    def format(self, annotations: Annotations) -> str:
        """Write events; see `AnnotationFormat.format`."""
        ((file, found),) = annotations.events.items()
        end = max([annotations.durations_s.get(file, 0.0), *(event.offset_s for event in found)]) or 1.0
        tiers = _tiers(found) or [("events", [])]
        lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {end:.6f}"]
        lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
        for number, (name, events) in enumerate(tiers, 1):
            intervals = _with_gaps(events, end)
            lines += [f"    item [{number}]:", f'        class = "{INTERVALS}"', f"        name = {_quoted(name)}"]
            lines += ["        xmin = 0", f"        xmax = {end:.6f}", f"        intervals: size = {len(intervals)}"]
            for index, (onset, offset, label) in enumerate(intervals, 1):
                lines += [
                    f"        intervals [{index}]:",
                    f"            xmin = {onset}",
                    f"            xmax = {offset}",
                ]
                lines.append(f"            text = {_quoted(label)}")
        return "\n".join(lines) + "\n"

    def recognises(self, source: Source) -> bool:
        """Recognise its first two lines; see `AnnotationFormat.recognises`."""
        return _START.match(source.text) is not None

    def parse(self, source: Source) -> Annotations:
        """Read the tiers of intervals, or that which is named as column of labels; see `AnnotationFormat.parse`."""
        read = _Reader(source)
        for word in ("ooTextFile", "TextGrid"):
            if not str(read.next("text")).startswith(word):
                raise DataError(f"{source.path}: not a TextGrid: {word!r} is missing at its beginning")
        _, end, flag = read.next("number"), read.next("number"), read.next("flag")
        events: list[Event] = []
        names, notes = [], []
        wanted = source.columns.get("label")
        for _ in range(read.size() if flag == "<exists>" else 0):
            kind, name = read.next("text"), read.next("text")
            names.append(name)
            read.next("number"), read.next("number")
            size = read.size()
            is_wanted = wanted in (None, name)
            if kind == POINTS:
                for _ in range(size):
                    read.next("number"), read.next("text")
                notes += [f"{source.path}: tier {name!r}: {size:,} points without length: left out"] if size else []
            elif kind == INTERVALS:
                for number in range(1, size + 1):
                    onset, offset, label = read.next("number"), read.next("number"), read.next("text")
                    if label.strip() and is_wanted:
                        place = f"{source.path}: tier {name!r}, interval {number}"
                        events.append(make_event(place, onset, offset, label, is_soft=source.is_soft))
            else:
                raise DataError(f"{source.path}: tier {name!r} is of class {kind!r}; allowed: {INTERVALS}, {POINTS}")
        read.end()
        if wanted is not None and wanted not in names:
            raise DataError(f"{source.path}: no tier {wanted!r} (label={wanted}); {nearest(wanted, names)}")
        return Annotations({source.recording: sorted(events)}, {source.recording: end}, notes=tuple(notes))


class _Reader:
    """The free-standing words of a TextGrid, one after the other."""

    def __init__(self, source: Source) -> None:
        self._path = source.path
        self._found = (match for match in _TOKEN.finditer(source.text) if match.lastgroup not in (None, "remark"))

    def next(self, kind: str) -> Any:
        """The next word: a "text", "number" or "flag"; a DataError if another follows."""
        match = next(self._found, None)
        if match is None:
            raise DataError(f"{self._path}: a broken TextGrid: it ends where a {kind} is due")
        if match.lastgroup != kind:
            line = match.string.count("\n", 0, match.start()) + 1
            raise DataError(f"{self._path}:{line}: a broken TextGrid: {match[0][:40]!r}, where a {kind} is due")
        if kind != "number":
            return match[kind].replace('""', '"')
        if not math.isfinite(value := float(match[kind])):
            raise DataError(f"{self._path}: a broken TextGrid: {match[0][:40]} is too large a number")
        return value

    def size(self) -> int:
        """The next number, which counts what follows; a DataError if it does not."""
        value: float = self.next("number")
        if not 0 <= value == int(value):
            raise DataError(
                f"{self._path}: a broken TextGrid: size {value:g} is no number of tiers, intervals or points"
            )
        return int(value)

    def end(self) -> None:
        """Raise a DataError if a word is left."""
        if match := next(self._found, None):
            line = match.string.count("\n", 0, match.start()) + 1
            raise DataError(f"{self._path}:{line}: a broken TextGrid: {match[0][:40]!r} is more than its sizes count")


def _tiers(events: Sequence[Event]) -> list[tuple[str, list[Event]]]:
    """Events by tier: one for each class, and a further one of that name for those that overlap."""
    tiers: list[tuple[str, list[Event]]] = []
    for event in sorted(events):
        fitting = (own for name, own in tiers if name == event.label and own[-1].offset_s <= event.onset_s)
        if (own := next(fitting, None)) is None:
            tiers.append((event.label, own := []))
        own.append(event)
    return sorted(tiers, key=lambda tier: tier[0])


def _with_gaps(events: Sequence[Event], end: float) -> list[tuple[str, str, str]]:
    """Onset, offset and text of intervals from 0 to the end, with empty ones between the events."""

    def all_intervals() -> Iterator[tuple[float, float, str]]:
        last = 0.0
        for event in events:
            yield last, event.onset_s, ""
            yield event.onset_s, event.offset_s, event.label
            last = event.offset_s
        yield last, end, ""

    typed = ((f"{onset:.6f}", f"{offset:.6f}", label) for onset, offset, label in all_intervals())
    return [interval for interval in typed if interval[2] or interval[0] != interval[1]]


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
