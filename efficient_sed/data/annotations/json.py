"""A JSON list with one entry a recording: `file`, `duration_s` and `events` with onset, offset, label and score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from efficient_sed.data.annotations.contract import AnnotationFormat, Events, to_json
from efficient_sed.registry import ANNOTATION_FORMATS

if TYPE_CHECKING:
    from efficient_sed.data.events import Event


@ANNOTATION_FORMATS.register("json")
class Json(AnnotationFormat):
    """Holds any name and any label."""

    ending = ".json"

    def format(self, events: Events, durations_s: Mapping[str, float]) -> str:
        """Write events; see `AnnotationFormat.format`."""
        content = []
        for file, found in events.items():
            duration_s = round(durations_s[file], 6) if file in durations_s else None
            content.append({"file": file, "duration_s": duration_s, "events": list(map(_entry, found))})
        return to_json(content)

    def label_problem(self, labels: Sequence[str]) -> str | None:
        """Return why labels cannot be held; see `AnnotationFormat.label_problem`."""
        return None

    def is_detections(self, start: str) -> bool:
        """Recognise detections; see `AnnotationFormat.is_detections`."""
        return "".join(start.split()).startswith(("[]", '[{"file":'))


def _entry(event: Event) -> dict[str, object]:
    times = {"onset_s": round(event.onset_s, 6), "offset_s": round(event.offset_s, 6)}
    return {**times, "label": event.label, "score": round(event.score, 4)}
