"""RTTM, NIST's Rich Transcription Time Marked: a line an event of any recording, fields separated by blanks.

NIST, "The 2009 Rich Transcription Meeting Recognition Evaluation Plan", appendix A. A blank in a name or a label
becomes an underscore. Lines of `SPEAKER` are events; those of other types are left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from efficient_sed.data.annotations.audio_names import without_ending
from efficient_sed.data.annotations.checked import make_event, not_seconds
from efficient_sed.data.annotations.contract import (
    SCORE_DECIMALS,
    AnnotationFormat,
    Annotations,
    Source,
    has_controls,
    unfit_name,
)
from efficient_sed.data.labels import label_problem
from efficient_sed.data.spelling import canonical_path
from efficient_sed.errors import DataError
from efficient_sed.registry import ANNOTATION_FORMATS

if TYPE_CHECKING:
    from efficient_sed.data.events import Event

NOTHING = "<NA>"
NUM_FIELDS, SCORE = 10, 8
"""Fields of a line, and which of them is the score."""
EVENT, COMMENT = "SPEAKER", ";;"
_TYPES = re.compile(r"(SPEAKER|SPKR-INFO|LEXEME|NON-LEX|NON-SPEECH|NOSCORE|SEGMENT|NO_RT_METADATA|FILLER|EDIT|IP|SU) ")


@ANNOTATION_FORMATS.register("rttm")
class Rttm(AnnotationFormat):
    """Lines `SPEAKER name 1 onset duration <NA> <NA> label score <NA>`; name is the path without its ending."""

    ending = ".rttm"
    holds_empty = False
    decimals = 3

    def format(self, annotations: Annotations) -> str:
        """Write events; see `AnnotationFormat.format`."""
        return "".join(
            f"{EVENT} {_recording(file)} 1 {_times(event)} "
            f"{NOTHING} {NOTHING} {_joined(event.label)} "
            f"{f'{event.score:.{SCORE_DECIMALS}f}' if annotations.has_scores else NOTHING} {NOTHING}\n"
            for file, found in annotations.events.items()
            for event in found
        )

    def recognises(self, source: Source) -> bool:
        """Recognise the type of its first line; see `AnnotationFormat.recognises`."""
        lines = (line for line in source.text.splitlines() if line.strip() and not line.startswith(COMMENT))
        return _TYPES.match(" ".join(next(lines, "").split())) is not None

    def parse(self, source: Source) -> Annotations:
        """Read lines of speakers; see `AnnotationFormat.parse`."""
        events: dict[str, list[Event]] = {}
        num_others, has_scores = 0, False
        for number, line in enumerate(source.text.splitlines(), 1):
            fields, place = line.split(), f"{source.path}:{number}"
            if not fields or line.startswith(COMMENT):
                continue
            if fields[0] != EVENT:
                num_others += 1
                continue
            if not SCORE <= len(fields) <= NUM_FIELDS:
                raise DataError(f"{place}: {len(fields)} fields, a line of {EVENT} has {NUM_FIELDS}")
            _, name, _, onset, length, _, _, label, score = [*fields, NOTHING][: SCORE + 1]
            try:
                offset = round(float(onset) + float(length), 6)  # a float's last digit may have moved
            except ValueError:
                raise not_seconds(place, {"onset": onset, "duration": length}) from None
            label, score = ("" if text == NOTHING else text for text in (label, score))
            has_scores |= score != ""
            event = make_event(place, onset, offset, label, score, is_soft=source.is_soft)
            events.setdefault(canonical_path(name), []).append(event)
        notes = (f"{source.path}: {num_others:,} lines that are not {EVENT}: left out",) if num_others else ()
        return Annotations(events, has_scores=has_scores, notes=notes)

    def name_problem(self, names: Sequence[str]) -> str | None:
        """Return why names cannot be held; see `AnnotationFormat.name_problem`."""
        if len({_recording(name) for name in names}) < len(names):
            return "files that differ in their endings or blanks alone: it would call them the same; take tsv or json"
        unfit = (name for name in names if not _recording(name) or has_controls(name))
        return next(map(unfit_name, unfit), None)

    def label_problem(self, labels: Sequence[str]) -> str | None:
        """Return why labels cannot be held; see `AnnotationFormat.label_problem`."""
        if problem := label_problem(labels):
            return problem
        known: dict[str, str] = {}
        for label in labels:
            if label == NOTHING:
                return f"it cannot tell {label!r} from none"
            if (other := known.setdefault(_joined(label), label)) != label:
                return f"it cannot tell {label!r} from {other!r}"
        return None

    def losses(self, annotations: Annotations) -> list[str]:
        """Name what is not written, blanks too; see `AnnotationFormat.losses`."""
        labels = {event.label for found in annotations.events.values() for event in found}
        blank = any(_joined(text) != text for text in (*labels, *annotations.events))
        return [*super().losses(annotations), *(["blanks in names and labels, which become _"] if blank else [])]

    def is_detections(self, start: str) -> bool:
        """Recognise detections; see `AnnotationFormat.is_detections`."""
        fields = start.partition("\n")[0].split()  # annotations have no score
        return len(fields) == NUM_FIELDS and fields[0] == EVENT and fields[SCORE] != NOTHING


def _recording(file: str) -> str:
    return _joined(without_ending(file))


def _times(event: Event) -> str:
    """Onset and duration, each end rounded by itself; the shortest event lasts a millisecond."""
    onset_ms, offset_ms = round(event.onset_s * 1000), round(event.offset_s * 1000)
    return f"{onset_ms / 1000:.3f} {max(1, offset_ms - onset_ms) / 1000:.3f}"


def _joined(text: str) -> str:
    return "_".join(text.split())
