"""RTTM, NIST's Rich Transcription Time Marked: a line an event of any recording, fields separated by blanks.

A blank in a name or a label becomes an underscore.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from efficient_sed.data.annotations.contract import AnnotationFormat, Events, has_controls, unfit_name
from efficient_sed.data.labels import label_problem
from efficient_sed.registry import ANNOTATION_FORMATS

NOTHING = "<NA>"
NUM_FIELDS, SCORE = 10, 8
"""Fields of a line, and which of them is the score."""


@ANNOTATION_FORMATS.register("rttm")
class Rttm(AnnotationFormat):
    """Lines `SPEAKER name 1 onset duration <NA> <NA> label score <NA>`; name is the path without its ending."""

    ending = ".rttm"

    def format(self, events: Events, durations_s: Mapping[str, float]) -> str:
        """Write events; see `AnnotationFormat.format`."""
        return "".join(
            f"SPEAKER {_recording(file)} 1 {event.onset_s:.3f} {event.offset_s - event.onset_s:.3f} "
            f"{NOTHING} {NOTHING} {_joined(event.label)} {event.score:.4f} {NOTHING}\n"
            for file, found in events.items()
            for event in found
        )

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

    def is_detections(self, start: str) -> bool:
        """Recognise detections; see `AnnotationFormat.is_detections`."""
        fields = start.partition("\n")[0].split()  # annotations have no score
        return len(fields) == NUM_FIELDS and fields[0] == "SPEAKER" and fields[SCORE] != NOTHING


def _recording(file: str) -> str:
    return _joined(Path(file).with_suffix("").as_posix())


def _joined(text: str) -> str:
    return "_".join(text.split())
