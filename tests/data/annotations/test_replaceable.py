"""Which files `detect` takes for detections, and replaces: those that hold scores, as annotations of people do not."""

from __future__ import annotations

import pytest

from efficient_sed.data.annotations.contract import find_format, format_events
from efficient_sed.data.events import Event

FOUND = [Event(0.5, 1.25, "dog", 0.75)]
HUMAN = {
    "tsv": "filename\tonset\toffset\tevent_label\na.wav\t0\t1\tdog\n",
    "json": '{"a.wav": [[0, 1, "dog"]]}',
    "rttm": "SPEAKER a 1 0.00 1.00 <NA> <NA> dog <NA> <NA>\n",
    "jams": '{"annotations": [{"annotation_metadata": {"annotation_tools": "Sonic Visualiser"}}]}',
    "audacity": "0\t1\tdog\n",
    "csv": "filename,onset,offset,event_label\na.wav,0,1,dog\n",
    "raven": "Selection\tBegin Time (s)\tEnd Time (s)\tAnnotation\n1\t0\t1\tdog\n",
    "textgrid": 'File type = "ooTextFile"\nObject class = "TextGrid"\n',
}
CORRECTED = ("audacity", "raven", "textgrid")
"""Formats whose detections people correct where they lie: they are never replaced."""


@pytest.mark.parametrize("name", sorted(HUMAN))
def test_detections_and_annotations(name: str) -> None:
    chosen = find_format(name)
    for events in (FOUND, FOUND * 3):
        assert chosen.is_detections(format_events({"a.wav": events}, name)) is (name not in CORRECTED)
    assert not chosen.is_detections(HUMAN[name])
    assert not chosen.is_detections("RIFF\x24\x00\x00\x00WAVEfmt ")


@pytest.mark.parametrize("name", ["tsv", "csv", "json", "jams"])
def test_no_event_is_a_result_too(name: str) -> None:
    assert find_format(name).is_detections(format_events({"a.wav": []}, name))
