"""Annotation files that cannot be used: one line each, with the place and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from efficient_sed.data.annotations.contract import Annotations, find_format, format_annotations
from efficient_sed.data.annotations.reading import read_annotations
from efficient_sed.data.annotations.tables import SOFT_COLUMN
from efficient_sed.data.events import Event
from efficient_sed.errors import ConfigError, DataError
from efficient_sed.registry import ANNOTATION_FORMATS

RAVEN = "Selection\tView\tBegin Time (s)\tEnd Time (s)\t{label}\n1\tSpectrogram 1\t{onset}\t{offset}\tfrog\n"
MANY = (
    "Selection\tView\tBegin Time (s)\tEnd Time (s)\tBegin File\tFile Offset (s)\tSpecies\n"
    "1\tSpectrogram 1\t1\t2\ta.wav\t{first}\tfrog\n2\tSpectrogram 1\t61\t62\tb.wav\t{second}\tfrog\n"
)
EVENTS = "filename\tonset\toffset\tevent_label\n"
GRID = 'File type = "ooTextFile"\nObject class = "TextGrid"\n0\n2\n<exists>\n1\n"IntervalTier"\n"a"\n0\n2\n1\n'
JAMS = '{{"file_metadata": {{}}, "annotations": [{{"namespace": "{name}", "data": {data}}}]}}'
FOUND = '[{{"file": "a.wav", "events": [{{"onset_s": {onset}, "offset_s": {offset}, "label": {label}}}]}}]'

BAD: list[tuple[str, str, str]] = [
    (
        "a.txt", RAVEN.format(label="Kind", onset=1, offset=2),
        "a.txt: no column of labels; found: Selection, View, Begin Time (s), End Time (s), Kind; name it as "
        "--column label=NAME, or data.columns.label=NAME",
    ),
    ("a.txt", RAVEN.format(label="Species", onset=2, offset=1), "a.txt:2: onset=2 must be at least 0 and before"),
    ("a.txt", RAVEN.format(label="Species", onset=-1, offset=1), "a.txt:2: onset=-1 must be at least 0 and "),
    ("a.txt", RAVEN.format(label="Species", onset="x", offset=1), "a.txt:2: onset='x', offset='1' are not seconds"),
    ("a.txt", "0.5\t0.25\tdog\n", "a.txt:1: onset=0.5 must be at least 0 and before offset=0.25"),
    ("a.txt", "0.1\t0.2\tdog\n\\\t100\t200\n-1\t1\tdog\n", "a.txt:3: onset=-1 must be at least 0 and before offset=1"),
    ("a.txt", "1.0\t1.0\tclick\n", "a.txt:1: a point label 'click', at 1.0, has no length; drag it out to"),
    ("a.txt", "0,5\t1,0\tdog\n", "a.txt:1: onset='0,5', offset='1,0' are not seconds; write 0.5, and not 0,5"),
    ("a.txt", RAVEN.format(label="Species", onset="0,5", offset=1), "a.txt:2: onset='0,5', offset='1' are not seco"),
    ("a.tsv", EVENTS + "a.wav\t0,5\t1\tx\n", "a.tsv:2: onset='0,5', offset='1' are not seconds; write 0.5, and not"),
    (
        "a.csv", "file,start,end,label\na.wav,0,5,1,0,x\n",
        "a.csv:2: has more fields than the 4 columns of the header; write 0.5, and not 0,5, and quote a text that ",
    ),
    ("a.csv", 'start,end,label\n"0,5",1,x\n', "a.csv:2: onset='0,5', offset='1' are not seconds; write 0.5, and not"),
    ("a.tsv", "f\0i\0l\0e\0", "a.tsv: holds bytes of zero, as UTF-16 without a byte-order mark does; save it as UTF-8"),
    (
        "a.txt", MANY.format(first="1.0", second=""),
        "a.txt:3: File Offset (s) is empty; give it in every row, as times within the recording",
    ),
    ("a.txt", "0\t1\t\n", "a.txt:1: onset without label"),
    ("a.txt", "0\t1\tx\n\t\ty\n", "a.txt:2: onset='', offset='' are not seconds"),
    ("a.txt", "0\t1\tdog\t0.5\tmore\n", "a.txt:1: more than onset, offset, label and a score"),
    ("a.txt", "0\t1\tdog\tloud\n", "a.txt:1: score='loud' is not a number"),
    ("a.TextGrid", GRID, "a.TextGrid: a broken TextGrid: it ends where a number is due"),
    ("a.TextGrid", GRID + '0\n"x"\n', "a.TextGrid:13: a broken TextGrid: '\"x\"', where a number is due"),
    ("a.TextGrid", GRID + '2\n1\n"x"\n', "a.TextGrid: tier 'a', interval 1: onset=2 must be at least 0 and before"),
    ("a.TextGrid", GRID.replace("IntervalTier", "Tier"), "a.TextGrid: tier 'a' is of class 'Tier'; allowed: "),
    ("a.TextGrid", GRID + '0\n1\n"x"\n1\n', "a.TextGrid:15: a broken TextGrid: '1' is more than its sizes count"),
    (
        "a.TextGrid", GRID.replace('\n1\n"I', '\n1.5\n"I') + '0\n1\n"x"\n',
        "a.TextGrid: a broken TextGrid: size 1.5 is no number of tiers, intervals or points",
    ),
    ("a.TextGrid", "hello", "a.TextGrid: a broken TextGrid: it ends where a text is due"),
    ("a.TextGrid", '"ooTextFile"\n"Pitch"\n', "a.TextGrid: not a TextGrid: 'TextGrid' is missing at its beginning"),
    ("a.json", '{"version": 1}', "a.json: begins with '{\"version\": 1}', which is no annotation format that is "),
    ("a.json", "{broken", "a.json: broken JSON: Expecting property name enclosed in double quotes: line 1 column 2"),
    ("a.json", '[{"file": "a",\n]', "a.json: broken JSON: "),
    ("a.jams", '{"annotations": [}', "a.jams: broken JSON: Expecting value: line 1 column 18 (char 17)"),
    ("a.jams", "[1, 2]", "a.jams: not JAMS: no list `annotations` with a `namespace` each"),
    ("a.jams", JAMS.format(name="beat", data="[]"), "a.jams: namespaces beat; read are segment_open, tag_open, sc"),
    ("a.jams", JAMS.format(name="tag_open", data="3"), "a.jams: tag_open: data is no list of rows with time, duration"),
    (
        "a.jams", JAMS.format(name="tag_open", data='[{"time": 1, "value": "x"}]'),
        "a.jams: tag_open, row 1: time=1, duration=None are not seconds",
    ),
    (
        "a.jams", JAMS.format(name="tag_open", data='[{"time": 1, "duration": 1, "value": 3}]'),
        "a.jams: tag_open, row 1: label is 3; labels are text",
    ),
    ("a.json", FOUND.format(onset=2, offset=1, label='"x"'), "a.json: 'a.wav', event 1: onset=2 must be at least 0"),
    ("a.json", FOUND.format(onset="null", offset=1, label='"x"'), "a.json: 'a.wav', event 1: onset=None, offset=1"),
    (
        "a.json", FOUND.format(onset="false", offset="true", label='"x"'),
        "a.json: 'a.wav', event 1: onset=False, offset=True are not seconds",
    ),
    (
        "a.json", FOUND.format(onset=0, offset='1, "score": true', label='"x"'),
        "a.json: 'a.wav', event 1: score=True is not a number",
    ),
    (
        "a.jams", JAMS.format(name="tag_open", data='[{"time": 1, "duration": true, "value": "x"}]'),
        "a.jams: tag_open, row 1: time=1, duration=True are not seconds",
    ),
    (
        "a.jams", JAMS.format(name="tag_open", data='[{"time": true, "duration": 1, "value": "x"}]'),
        "a.jams: tag_open, row 1: onset=True, offset=2 are not seconds",
    ),
    ("a.json", '[{"file": "", "events": []}]', "a.json: a `file` is empty"),
    ("a.json", '[{"file": "c.wav", "events": []}, {"file": "./c.wav", "events": []}]', "a.json: a `file` is there twi"),
    ("a.json", FOUND.format(onset=0, offset=1, label=3), "a.json: 'a.wav', event 1: label is 3; labels are text"),
    ("a.rttm", "SPEAKER a 1 0.5 -0.2 <NA> <NA> x <NA> <NA>\n", "a.rttm:1: onset=0.5 must be at least 0 and before"),
    ("a.rttm", "SPEAKER a 1 0.5 1 <NA> <NA> <NA> <NA> <NA>\n", "a.rttm:1: onset without label"),
    ("a.rttm", "SPEAKER a 1 0.5\n", "a.rttm:1: 4 fields, a line of SPEAKER has 10"),
    ("a.rttm", "SPEAKER a 1 x 1 <NA> <NA> x <NA> <NA>\n", "a.rttm:1: onset='x', duration='1' are not seconds"),
    ("a.csv", "file,from,to,what\n", "a.csv: no column of onsets; found: file, from, to, what; name it as "),
    ("a.csv", "file,start,end,label\na.wav,0.5,0.1,x\n", "a.csv:2: onset=0.5 must be at least 0 and before offset=0.1"),
    ("a.csv", "start,end,label,confidence\n0,1,x,0.4\n", "a.csv:2: confidence='0.4', but labels with a weight are not"),
    ("a.csv", "start;end;label\n0,1;0.5;x\n0,x;1;x\n", "a.csv:3: onset='0.x', offset='1' are not seconds"),
    ("a.csv", "filename,start,end,label\n,0,1,x\n", "a.csv:2: the filename is empty"),
    (
        "notes.txt", "to do\n",
        "notes.txt: begins with 'to do', which is no annotation format that is known; tried: audacity, csv, jams, "
        "json, raven, rttm, textgrid, tsv",
    ),
    ("empty", "", "empty: begins with '', which is no annotation format"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "message"), BAD, ids=[f"{row[0]}-{n}" for n, row in enumerate(BAD)])
def test_bad_files(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError) as caught:
        read_annotations(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path}/{message}")
    assert "\n" not in str(caught.value)


SOFT: list[tuple[str, str, str]] = [
    ("a.json", FOUND.format(onset=0, offset='1, "score": 1.7', label='"x"'), "'a.wav', event 1: score=1.7 "),
    ("a.json", FOUND.format(onset=0, offset='1, "score": -1', label='"x"'), "'a.wav', event 1: score=-1 "),
    ("a.json", FOUND.format(onset=0, offset=1, label='"x"'), "'a.wav', event 1: score=None "),
    ("a.json", FOUND.format(onset=0, offset='1, "score": true', label='"x"'), "'a.wav', event 1: score=True "),
    (
        "a.jams", JAMS.format(name="segment_open", data='[{"time": 0, "duration": 1, "value": "x", "confidence": 2}]'),
        "segment_open, row 1: confidence=2 ",
    ),
    (
        "a.jams", JAMS.format(name="tag_open", data='[{"time": 0, "duration": 1, "value": "x", "confidence": 1}]'),
        "tag_open, row 1: confidence=None ",
    ),
    ("a.txt", "0\t1\tdog\t1.5\n", "1: score='1.5' "),
    ("a.txt", "0\t1\tdog\n", "1: score='' "),
    ("a.rttm", "SPEAKER a 1 0 1 <NA> <NA> x 9 <NA>\n", "1: score='9' "),
    ("a.TextGrid", GRID + '0\n1\n"x"\n', "tier 'a', interval 1: score='' "),
    ("a.tsv", "filename\tonset\toffset\tevent_label\tconfidence\na.wav\t0\t1\tx\t2\n", "2: confidence='2' "),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "message"), SOFT, ids=[f"{row[0]}-{n}" for n, row in enumerate(SOFT)])
def test_soft_labels_are_from_0_to_1(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError) as caught:
        read_annotations(tmp_path / name, columns={"score": SOFT_COLUMN})
    place = str(caught.value).removeprefix(f"{tmp_path}/{name}:").lstrip()
    assert place == f"{message}is not allowed: a number from 0 to 1"


RECORDING_NAMES = [
    ("a.json", '[{"file": "./sub//c.wav", "duration_s": 2, "events": []}]'),
    ("a.jams", '{"file_metadata": {"identifiers": {"file": "./sub//c.wav"}}, "annotations": []}'),
    ("a.rttm", "SPEAKER ./sub//c.wav 1 0 1 <NA> <NA> x <NA> <NA>\n"),
    ("a.tsv", "filename\tonset\toffset\tevent_label\n./sub//c.wav\t\t\t\n"),
    ("a.csv", "file,start,end,label\n./sub//c.wav,0,1,x\n"),
]


@pytest.mark.parametrize(("name", "text"), RECORDING_NAMES)
def test_a_recording_has_one_name(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert list(read_annotations(tmp_path / name).events) == ["sub/c.wav"]


@pytest.mark.parametrize("name", ANNOTATION_FORMATS.names())
@pytest.mark.parametrize("text", ["", "hello\n", '{"a": 1}', "[]", "1\t2\n", "\x00\x01", "a,b\n1,2\n"])
def test_a_format_that_is_named_and_wrong(tmp_path: Path, name: str, text: str) -> None:
    """Is refused with one line, or holds nothing."""
    (tmp_path / "a.txt").write_text(text)
    message, events = "", {}
    try:
        events = dict(read_annotations(tmp_path / "a.txt", name).events)
    except DataError as error:
        message = str(error)
    assert message.startswith(f"{tmp_path}/a.txt") or not any(events.values())
    assert "\n" not in message


def test_formats_of_one_recording_take_no_two() -> None:
    events = {name: [Event(0, 1, "dog")] for name in ("a.wav", "b.wav")}
    for name in ANNOTATION_FORMATS.names():
        if not find_format(name).holds_many:
            with pytest.raises(ConfigError, match=f"format={name} is not allowed for 2 files in one text"):
                format_annotations(Annotations(events), name)


def test_two_files_about_one_recording(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("0\t1\tdog\n")
    (tmp_path / "a.rttm").write_text("SPEAKER a 1 0.5 0.2 <NA> <NA> x <NA> <NA>\n")
    with pytest.raises(DataError, match=r"a\.rttm and .*a\.txt: both are about the recording 'a'; remove one"):
        read_annotations(tmp_path)


def test_a_file_among_others_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("0\t1\tdog\n")
    (tmp_path / "README").write_text("about these labels\n")
    with pytest.raises(DataError, match=r"README: begins with 'about these labels', which is no annotation format"):
        read_annotations(tmp_path)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match="nothing: a folder, and no annotation file in it"):
        read_annotations(tmp_path / "nothing")
    with pytest.raises(ConfigError, match="format=ravn is not allowed: did you mean 'raven'"):
        read_annotations(tmp_path / "a.txt", "ravn")
