"""JAMS: JSON annotations of one recording, detections as segments.

Humphrey et al., "JAMS: a JSON annotated music specification for reproducible MIR research", ISMIR 2014. Intervals with
labels are its namespace `segment_open`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from efficient_sed.data.annotations.contract import AnnotationFormat, Events, to_json
from efficient_sed.registry import ANNOTATION_FORMATS

VERSION = "0.3.4"
TOOL = "efficient_sed"


@ANNOTATION_FORMATS.register("jams")
class Jams(AnnotationFormat):
    """JSON with one annotation; its metadata name this program."""

    ending = ".jams"
    holds_many = False

    def format(self, events: Events, durations_s: Mapping[str, float]) -> str:
        """Write events; see `AnnotationFormat.format`."""
        ((file, found),) = events.items()
        duration_s = durations_s.get(file)
        seconds = None if duration_s is None else round(duration_s, 6)
        data = [
            {"time": round(e.onset_s, 6), "duration": round(e.offset_s - e.onset_s, 6)}
            | {"value": e.label, "confidence": round(e.score, 4)}
            for e in found
        ]
        annotation = {
            "annotation_metadata": {"annotation_tools": TOOL, "data_source": "program"},
            "namespace": "segment_open", "data": data, "sandbox": {}, "time": 0, "duration": seconds,
        }  # fmt: skip
        metadata = {
            "title": Path(file).stem, "artist": "", "release": "", "duration": seconds, "identifiers": {"file": file},
            "jams_version": VERSION,
        }  # fmt: skip
        return to_json({"annotations": [annotation], "file_metadata": metadata, "sandbox": {}})

    def label_problem(self, labels: Sequence[str]) -> str | None:
        """Return why labels cannot be held; see `AnnotationFormat.label_problem`."""
        return None

    def is_detections(self, start: str) -> bool:
        """Recognise detections; see `AnnotationFormat.is_detections`."""
        return start.startswith("{") and f'"annotation_tools": "{TOOL}"' in start
