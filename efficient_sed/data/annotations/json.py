"""A JSON list with one entry a recording: `file`, `duration_s` and `events` with onset, offset, label and score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from efficient_sed.data.annotations.checked import known_length, make_event
from efficient_sed.data.annotations.contract import SCORE_DECIMALS, AnnotationFormat, Annotations, Source, to_json
from efficient_sed.data.spelling import canonical_path
from efficient_sed.errors import DataError
from efficient_sed.registry import ANNOTATION_FORMATS


@ANNOTATION_FORMATS.register("json")
class Json(AnnotationFormat):
    """Holds any name and any label."""

    ending = ".json"
    holds_durations = True

    def format(self, annotations: Annotations) -> str:
        """Write events; see `AnnotationFormat.format`."""
        durations_s = annotations.durations_s
        content = [
            {
                "file": file,
                "duration_s": round(durations_s[file], 6) if file in durations_s else None,
                "events": [
                    {"onset_s": round(e.onset_s, 6), "offset_s": round(e.offset_s, 6), "label": e.label}
                    | ({"score": round(e.score, SCORE_DECIMALS)} if annotations.has_scores else {})
                    for e in found
                ],
            }
            for file, found in annotations.events.items()
        ]
        return to_json(content)

    def recognises(self, source: Source) -> bool:
        """Recognise a list of files with events; see `AnnotationFormat.recognises`."""
        return isinstance(source.json, list) and all(map(_is_recording, source.json))

    def parse(self, source: Source) -> Annotations:
        """Read such a list; see `AnnotationFormat.parse`."""
        source.check_json()
        if not self.recognises(source):
            raise DataError(f"{source.path}: not a JSON list of objects with `file` and a list `events`")
        if any(not entry["file"] for entry in source.json):
            raise DataError(f"{source.path}: a `file` is empty")
        durations_s = {
            canonical_path(entry["file"]): length
            for entry in source.json
            if (length := known_length(entry.get("duration_s"))) is not None
        }
        events = {
            canonical_path(entry["file"]): [
                make_event(f"{source.path}: {entry['file']!r}, event {number}", *_values(event), is_soft=source.is_soft)
                for number, event in enumerate(entry["events"], 1)
            ]
            for entry in source.json
        }
        if len(events) < len(source.json):
            raise DataError(f"{source.path}: a `file` is there twice")
        return Annotations(events, durations_s, any("score" in event for e in source.json for event in e["events"]))

    def label_problem(self, labels: Sequence[str]) -> str | None:
        """Return why labels cannot be held; see `AnnotationFormat.label_problem`."""
        return None

    def is_detections(self, start: str) -> bool:
        """Recognise detections; see `AnnotationFormat.is_detections`."""
        is_own = "".join(start.split()).startswith(("[]", '[{"file":'))
        return is_own and ('"score":' in start or '"label":' not in start)


def _is_recording(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("file"), str) and isinstance(entry.get("events"), list)


def _values(event: Any) -> list[Any]:
    known = event if isinstance(event, dict) else {}
    return [known.get(key) for key in ("onset_s", "offset_s", "label", "score")]
