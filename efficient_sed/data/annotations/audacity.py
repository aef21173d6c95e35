"""Audacity's label track: `onset<TAB>offset<TAB>label` in seconds, without a header; a file for each recording."""

from __future__ import annotations

from collections.abc import Mapping

from efficient_sed.data.annotations.contract import AnnotationFormat, Events
from efficient_sed.registry import ANNOTATION_FORMATS


@ANNOTATION_FORMATS.register("audacity")
class Audacity(AnnotationFormat):
    """Label track, without scores: detections look like annotations, so `detect` never replaces one."""

    ending = ".txt"
    holds_many = False

    def format(self, events: Events, durations_s: Mapping[str, float]) -> str:
        """Write events; see `AnnotationFormat.format`."""
        (found,) = events.values()
        return "".join(f"{event.onset_s:.6f}\t{event.offset_s:.6f}\t{event.label}\n" for event in found)
