"""An annotation format is one file: written by `detect`, named in its help, read by data sets."""

from __future__ import annotations

from pathlib import Path

import pytest
from adding import added

from efficient_sed.cli.main import main
from efficient_sed.data.annotations.contract import check_labels, find_format, format_events
from efficient_sed.data.annotations.reading import read_annotations
from efficient_sed.data.events import Event
from efficient_sed.errors import ConfigError, DataError
from efficient_sed.registry import ANNOTATION_FORMATS

SOURCE = '''
from efficient_sed.data.annotations.contract import AnnotationFormat, Annotations
from efficient_sed.data.events import Event
from efficient_sed.registry import ANNOTATION_FORMATS


@ANNOTATION_FORMATS.register("kaleidoscope")
class Kaleidoscope(AnnotationFormat):
    """A line an event, separated by semicolons."""

    ending = ".kal"
    holds_many = {holds_many}

    def format(self, annotations):
        return "".join(
            f"{{file}};{{event.onset_s}};{{event.offset_s}};{{event.label}}\\n"
            for file, found in annotations.events.items()
            for event in found
        )

    def recognises(self, source):
        return source.header.count(";") == 3

    def parse(self, source):
        events = {{}}
        for line in source.text.splitlines():
            file, onset, offset, label = line.split(";")
            events.setdefault(file, []).append(Event(float(onset), float(offset), label))
        return Annotations(events)

    def label_problem(self, labels):
        return next((f"it cannot hold {{label!r}}" for label in labels if ";" in label), None)
'''


def detect_help(capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        main(["detect", "--help"])
    return " ".join(capsys.readouterr().out.split())


def test_all_formats_are_known() -> None:
    assert ANNOTATION_FORMATS.names() == ["audacity", "csv", "jams", "json", "raven", "rttm", "textgrid", "tsv"]
    for name in ANNOTATION_FORMATS.names():
        chosen = find_format(name)
        assert chosen.name == name
        assert chosen.ending.startswith(".")


@pytest.mark.parametrize("holds_many", [True, False])
def test_a_format_from_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], holds_many: bool) -> None:
    with added(ANNOTATION_FORMATS, tmp_path / "plugin", "kaleidoscope", SOURCE.format(holds_many=holds_many)):
        help_text = detect_help(capsys)
        assert "kaleidoscope" in help_text
        assert ("kaleidoscope, raven, textgrid and npz" in help_text) is not holds_many
        events = {"a.wav": [Event(0.5, 1.25, "dog")]}
        text = format_events(events, "kaleidoscope")
        assert text == "a.wav;0.5;1.25;dog\n"
        (tmp_path / "train.kal").write_text(text)
        assert read_annotations(tmp_path / "train.kal").events == events
        with pytest.raises(ConfigError, match="format=kaleidoscope is not allowed: it cannot hold 'a;b'"):
            check_labels(["a;b"], "kaleidoscope")
        if not holds_many:
            with pytest.raises(ConfigError, match="not allowed for 2 files in one text"):
                format_events({"a.wav": [], "b.wav": []}, "kaleidoscope")
    assert "kaleidoscope" not in detect_help(capsys)
    with pytest.raises(
        DataError, match=r"train\.kal: begins with 'a\.wav;0\.5;1\.25;dog', which is no annotation format"
    ):
        read_annotations(tmp_path / "train.kal")
