"""Audacity's label track: `onset<TAB>offset<TAB>label` in seconds, without a header; a file for each recording.

https://manual.audacityteam.org/man/importing_and_exporting_labels.html. A line that begins with a backslash holds the
frequencies of the label above it. A fourth field is a score, as BirdNET writes it.
"""

from __future__ import annotations

import re

from efficient_sed.data.annotations.checked import make_event
from efficient_sed.data.annotations.contract import AnnotationFormat, Annotations, Source
from efficient_sed.errors import DataError
from efficient_sed.registry import ANNOTATION_FORMATS

_NUMBER = r"[-+]?\d+(?:[.,]\d*)?(?:[eE][-+]?\d+)?"
_LINE = re.compile(rf"{_NUMBER}\t{_NUMBER}(\t|$)")
FREQUENCIES = "\\"


@ANNOTATION_FORMATS.register("audacity")
class Audacity(AnnotationFormat):
    """Label track, without scores: detections look like annotations, so `detect` never replaces one."""

    ending = ".txt"
    holds_many = False
    holds_scores = False

    def format(self, annotations: Annotations) -> str:
        """Write events; see `AnnotationFormat.format`."""
        (found,) = annotations.events.values()
        return "".join(f"{event.onset_s:.6f}\t{event.offset_s:.6f}\t{event.label}\n" for event in found)

    def recognises(self, source: Source) -> bool:
        """Recognise the times in its first line, or an empty file; see `AnnotationFormat.recognises`."""
        is_empty = not source.text.strip() and source.path.suffix.lower() == self.ending
        return is_empty or _LINE.match(source.header) is not None

    def parse(self, source: Source) -> Annotations:
        """Read a label track; see `AnnotationFormat.parse`."""
        events, has_scores = [], False
        for number, line in enumerate(re.split(r"\r\n|\r|\n", source.text), 1):
            if not line.strip() or line.startswith(FREQUENCIES):
                continue
            fields = line.split("\t")
            onset, offset, label, score = (*fields, "", "", "")[:4]
            if any(fields[4:]):
                raise DataError(f"{source.path}:{number}: more than onset, offset, label and a score")
            if onset == offset != "":
                advice = "drag it out to a region in Audacity, or delete it"
                raise DataError(f"{source.path}:{number}: a point label {label!r}, at {onset}, has no length; {advice}")
            events.append(make_event(f"{source.path}:{number}", onset, offset, label, score, is_soft=source.is_soft))
            has_scores |= score != ""
        return Annotations({source.recording: events}, has_scores=has_scores)
