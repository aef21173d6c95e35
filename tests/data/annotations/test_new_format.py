"""An annotation format is one file: written by `detect`, named in its help, read by data sets."""

from __future__ import annotations

from pathlib import Path

import pytest
from adding import added

from efficient_sed.cli.main import main
from efficient_sed.data.annotations.contract import check_labels, find_format, format_events, reading_format
from efficient_sed.data.events import Event
from efficient_sed.errors import ConfigError
from efficient_sed.registry import ANNOTATION_FORMATS

SOURCE = '''
from efficient_sed.data.annotations.contract import AnnotationFormat
from efficient_sed.data.events import Event
from efficient_sed.registry import ANNOTATION_FORMATS


@ANNOTATION_FORMATS.register("kaleidoscope")
class Kaleidoscope(AnnotationFormat):
    """A line an event, separated by semicolons."""

    ending = ".kal"
    is_read = True
    holds_many = {holds_many}

    def format(self, events, durations_s):
        return "".join(
            f"{{file}};{{event.onset_s}};{{event.offset_s}};{{event.label}}\\n"
            for file, found in events.items()
            for event in found
        )

    def parse(self, path):
        events = {{}}
        for line in path.read_text().splitlines():
            file, onset, offset, label = line.split(";")
            events.setdefault(file, []).append(Event(float(onset), float(offset), label))
        return events

    def label_problem(self, labels):
        return next((f"it cannot hold {{label!r}}" for label in labels if ";" in label), None)
'''


def detect_help(capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        main(["detect", "--help"])
    return " ".join(capsys.readouterr().out.split())


def test_all_formats_are_known() -> None:
    assert ANNOTATION_FORMATS.names() == ["audacity", "jams", "json", "rttm", "tsv"]
    for name in ANNOTATION_FORMATS.names():
        chosen = find_format(name)
        assert chosen.name == name
        assert chosen.ending.startswith(".")


@pytest.mark.parametrize("holds_many", [True, False])
def test_a_format_from_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], holds_many: bool) -> None:
    with added(ANNOTATION_FORMATS, tmp_path / "plugin", "kaleidoscope", SOURCE.format(holds_many=holds_many)):
        help_text = detect_help(capsys)
        assert "kaleidoscope" in help_text
        assert ("kaleidoscope and npz" in help_text) is not holds_many
        events = {"a.wav": [Event(0.5, 1.25, "dog")]}
        text = format_events(events, "kaleidoscope")
        assert text == "a.wav;0.5;1.25;dog\n"
        (tmp_path / "train.kal").write_text(text)
        assert reading_format(tmp_path / "train.kal").parse(tmp_path / "train.kal") == events
        with pytest.raises(ConfigError, match="format=kaleidoscope is not allowed: it cannot hold 'a;b'"):
            check_labels(["a;b"], "kaleidoscope")
        if not holds_many:
            with pytest.raises(ConfigError, match="not allowed for 2 files in one text"):
                format_events({"a.wav": [], "b.wav": []}, "kaleidoscope")
    assert "kaleidoscope" not in detect_help(capsys)
    assert reading_format(Path("train.kal")).name == "tsv"


def test_which_files_are_read_as_what() -> None:
    for name in ("train.tsv", "TRAIN.TSV", "train.txt", "train.csv", "train", "train.json"):
        assert reading_format(Path(name)).name == "tsv"
