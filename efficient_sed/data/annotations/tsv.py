"""Tab-separated values, as DESED's tables: `filename onset offset event_label`, and in detections `score`.

A recording without events has one row with empty fields.
"""

from __future__ import annotations

from efficient_sed.data.annotations.contract import Source
from efficient_sed.data.annotations.event_tables import EVENT_COLUMNS, TableFormat, header_of
from efficient_sed.registry import ANNOTATION_FORMATS


@ANNOTATION_FORMATS.register("tsv")
class Tsv(TableFormat):
    """A table with a header and a row an event."""

    ending = ".tsv"

    def recognises(self, source: Source) -> bool:
        """Recognise the columns of DESED; see `AnnotationFormat.recognises`."""
        return set(EVENT_COLUMNS) <= set(header_of(source, "\t"))

    def columns(self, source: Source) -> dict[str, str]:
        """Return those of DESED where the user names no others; see `TableFormat.columns`."""
        known = dict(zip(("filename", "onset", "offset", "label"), EVENT_COLUMNS, strict=True))
        return known | ({"score": "score"} if "score" in header_of(source, "\t") else {}) | dict(source.columns)
