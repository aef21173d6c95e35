"""A file of each format as programs write it, recognised by its content and read."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from efficient_sed.data.annotations.contract import find_format
from efficient_sed.data.annotations.reading import choose_format, open_source, read_annotations
from efficient_sed.data.events import Event
from efficient_sed.registry import ANNOTATION_FORMATS

EXAMPLES = Path(__file__).parent / "examples"
OWN_COLUMNS = {"messung.csv": {"onset": "Beginn", "offset": "Ende", "label": "Geräusch", "filename": "Aufnahme"}}
EXPECTED: dict[str, tuple[str, dict[str, list[Event]]]] = {
    "desed.tsv": (
        "tsv",
        {
            "Y3ggTFE1W1fk_20.000_30.000.wav": [Event(0, 2.134, "Speech"), Event(1.482, 9.87, "Running_water")],
            "Yb0RFKhbpFJA_30.000_40.000.wav": [Event(4.906, 5.241, "Dishes")],
            "Y-Zp5gqfkQf8_0.000_10.000.wav": [],
        },
    ),
    "workshop.csv": (
        "csv",
        {
            "bench/saw_01.flac": [Event(0.35, 4.2, "circular saw"), Event(6, 6.45, "hammer, metal")],
            "bench/radio.flac": [Event(0, 12.5, "speech")],
        },
    ),
    "messung.csv": ("csv", {"bahn_03.wav": [Event(12.5, 19.75, "Zug"), Event(31, 31.4, "Hupe")]}),
    "dawn.BirdNET.results.csv": (
        "csv",
        {"dawn.wav": [Event(0, 3, "Eurasian Blackbird", 0.8734), Event(3, 6, "European Robin", 0.4127)]},
    ),
    "pond.BirdNET.selection.table.txt": (
        "raven",
        {"pond.wav": [Event(0, 3, "Common Moorhen", 0.742), Event(9, 12, "Common Moorhen", 0.9105)]},
    ),
    "marsh.Table.1.selections.txt": (
        "raven",
        {
            "marsh": [
                Event(1.204512, 1.89312, "Acrocephalus scirpaceus"),
                Event(4.5119, 9.020004, "Botaurus stellaris"),
            ]
        },
    ),
    "transect.selections.txt": (
        "raven",
        {
            "north/N01.wav": [Event(3.5, 4, "frog")],
            "north/N02.wav": [Event(1.25, 4, "frog")],
            "south/N01.wav": [Event(10, 11.5, "cricket")],
        },
    ),
    "kitchen.txt": (
        "audacity",
        {
            "kitchen": [
                Event(0.412, 1.93, "dishes"),
                Event(1.5, 8.251, "running water"),
                Event(8.3, 8.45, "dishes"),
            ]
        },
    ),
    "interview.TextGrid": (
        "textgrid",
        {"interview": [Event(0.75, 2.5, "speech"), Event(2, 3.125, 'door "slam"'), Event(3.125, 6.5, "café")]},
    ),
    "short.TextGrid": ("textgrid", {"short": [Event(0, 1.5, "bark")]}),
    "soundscape.jams": ("jams", {"soundscape": [Event(1.28, 3.92, "siren"), Event(5.07, 5.98, "dog_bark")]}),
    "meeting.rttm": ("rttm", {"meeting": [Event(0.32, 4.49, "spk_a"), Event(3.9, 5.15, "spk_b", 0.91)]}),
    "found.json": ("json", {"yard/gate.wav": [Event(2.4, 3.08, "bark", 0.8215)], "yard/empty.wav": []}),
}
NOTES = {
    "interview.TextGrid": "tier 'bell': 1 points without length: left out",
    "marsh.Table.1.selections.txt": "2 rows show a selection in a second view: counted once",
    "soundscape.jams": "1 backgrounds of a mixture: left out",
    "meeting.rttm": "1 lines that are not SPEAKER: left out",
}


def test_every_format_has_an_example() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} == EXPECTED.keys()
    assert {name for name, _ in EXPECTED.values()} == set(ANNOTATION_FORMATS.names())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("name", EXPECTED)
def test_an_example(tmp_path: Path, name: str, encoding: str, caplog: pytest.LogCaptureFixture) -> None:
    """Under its own name, which may give nothing away; in UTF-16 as Praat and spreadsheets may write it."""
    path = tmp_path / name
    path.write_text((EXAMPLES / name).read_text("utf-8"), encoding)
    format_name, events = EXPECTED[name]
    with caplog.at_level(logging.INFO):
        found = read_annotations(path, columns=OWN_COLUMNS.get(name, {}))
    assert found.events == events
    assert found.has_scores is any(event.score != 1 for own in events.values() for event in own)
    assert f"{path}: read as {format_name}" in caplog.messages
    assert [note for note in found.notes if NOTES.get(name, "nothing") in note] == [
        f"{path}: {NOTES[name]}" for _ in [0] if name in NOTES
    ]


@pytest.mark.parametrize("name", EXPECTED)
def test_content_decides_and_no_ending(tmp_path: Path, name: str) -> None:
    """Only the format of a file, or none but the fallback beside it, takes the file for its own."""
    for file in ("a.txt", "a.wrong.rttm", "a"):
        shutil.copy(EXAMPLES / name, tmp_path / file)
        source = open_source(tmp_path / file, OWN_COLUMNS.get(name, {}))
        assert choose_format(source).name == EXPECTED[name][0]
        takers = [each for each in map(find_format, ANNOTATION_FORMATS.names()) if each.recognises(source)]
        assert {each.name for each in takers if not each.is_fallback} <= {EXPECTED[name][0]}


def test_a_tier_is_chosen_as_a_column() -> None:
    found = read_annotations(EXAMPLES / "interview.TextGrid", columns={"label": "Mary"})
    assert found.events == {"interview": [Event(0.75, 2.5, "speech")]}
    assert found.durations_s == {"interview": 6.5}


def test_a_label_column_is_chosen() -> None:
    found = read_annotations(EXAMPLES / "pond.BirdNET.selection.table.txt", columns={"label": "Species Code"})
    assert [event.label for event in found.events["pond.wav"]] == ["commoo3", "commoo3"]


def test_a_folder_of_files_for_each_recording(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Audio and hidden files are passed over, an empty file is a recording without events."""
    (tmp_path / "monday").mkdir()
    names = (
        "kitchen.txt",
        "marsh.Table.1.selections.txt",
        "pond.BirdNET.selection.table.txt",
        "dawn.BirdNET.results.csv",
    )
    for name in names:
        shutil.copy(EXAMPLES / name, tmp_path / "monday")
    (tmp_path / "quiet.txt").write_text("")
    (tmp_path / ".DS_Store").write_bytes(b"\0\1")
    (tmp_path / "monday" / "kitchen.wav").write_bytes(b"RIFF")
    with caplog.at_level(logging.INFO):
        found = read_annotations(tmp_path)
    assert {name: len(own) for name, own in found.events.items()} == {
        "monday/kitchen": 3, "monday/marsh": 2, "monday/pond.wav": 2, "monday/dawn.wav": 2, "quiet": 0,
    }  # fmt: skip
    assert f"{tmp_path}: read as csv (1), audacity (1), raven (2), an empty file (1)" in caplog.messages


def test_a_table_of_many_recordings_without_their_times(tmp_path: Path) -> None:
    lines = (EXAMPLES / "transect.selections.txt").read_text().splitlines()
    index = lines[0].split("\t").index("File Offset (s)")
    rows = ["\t".join(field for n, field in enumerate(line.split("\t")) if n != index) for line in lines]
    (tmp_path / "a.txt").write_text("\n".join(rows))
    (note,) = read_annotations(tmp_path / "a.txt").notes
    without = "3 recordings without 'File Offset (s)'"
    assert note == f"{tmp_path}/a.txt: {without}: 'Begin Time (s)' is taken for the time within each"


def test_two_annotators(tmp_path: Path) -> None:
    rows = '{"time": 0, "duration": 1, "value": "x", "confidence": null}'
    other = '{"time": 2, "duration": 1, "value": "y", "confidence": null}'
    both = ", ".join(f'{{"namespace": "segment_open", "data": [{data}]}}' for data in (rows, f"{rows}, {other}"))
    (tmp_path / "a.jams").write_text(f'{{"file_metadata": {{}}, "annotations": [{both}]}}')
    found = read_annotations(tmp_path / "a.jams")
    assert found.events == {"a": [Event(0, 1, "x"), Event(2, 3, "y")]}
    assert found.notes == (f"{tmp_path}/a.jams: 2 annotations are taken together; equal events left out: 1",)


def test_folders_with_a_colon_are_no_drive(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("file,start,end,label\n12:30/a.wav,0,1,x\n12:45/b.wav,0,1,x\n")
    assert list(read_annotations(tmp_path / "a.csv").events) == ["12:30/a.wav", "12:45/b.wav"]
    (tmp_path / "a.csv").write_text("file,start,end,label\nC:\\in\\x\\a.wav,0,1,x\nC:\\in\\b.wav,0,1,x\n")
    assert list(read_annotations(tmp_path / "a.csv").events) == ["x/a.wav", "b.wav"]
