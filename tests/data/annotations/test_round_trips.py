"""Annotation files are read as they were written, in every format, or refused with one line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import efficient_sed as es
from efficient_sed.data.annotations.contract import Source, check_labels, check_names, find_format, format_events
from efficient_sed.data.annotations.event_tables import relative_names
from efficient_sed.data.annotations.reading import read_annotations
from efficient_sed.data.annotations.tables import split_rows
from efficient_sed.data.events import Event
from efficient_sed.data.pseudo_labels import PseudoLabels
from efficient_sed.data.spelling import canonical
from efficient_sed.errors import ConfigError
from efficient_sed.inference.score_files import write_scores
from efficient_sed.registry import ANNOTATION_FORMATS

ODD = [
    '"',
    '""',
    "\t",
    "\n",
    "\r",
    "#",
    " ",
    ",",
    "'",
    "\\",
    "é",
    "e\u0301",
    "\xa0",
    "\u202e",
    "\ufeff",
    "\x1b",
    "\udcff",
    "日",
    "12",
    ".wav",
    "nan",
    "a",
    "_",
    "<NA>",
]
texts = st.lists(st.sampled_from(ODD), min_size=1, max_size=5).map("".join).filter(lambda text: text.strip(".") != "")
events = st.lists(
    st.builds(Event, st.just(0.25), st.just(1.5), texts, st.just(0.75)),
    max_size=2,
    unique_by=lambda event: canonical(event.label),
)
detections = st.dictionaries(texts, events, min_size=1, max_size=3)
Read = list[tuple[str, list[str]]]


def read(text: str, output_format: str, folder: Path) -> Read:
    """Names and labels as a reader of the format takes them."""
    if output_format in ("tsv", "csv"):
        path = folder / f"found.{output_format}"
        path.write_bytes(text.encode())
        found = {name: [event.label for event in events] for name, events in read_annotations(path).events.items()}
        by_csv: dict[str, list[str]] = {}
        for row in csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if output_format == "tsv" else ","):
            by_csv.setdefault(row["filename"], []).extend([row["event_label"]] if row["event_label"] else [])
        typed = {canonical(name): list(map(canonical, labels)) for name, labels in by_csv.items()}  # as pandas does
        paths = relative_names(typed, "found") if output_format == "csv" else {name: name for name in typed}
        assert {paths[name]: labels for name, labels in typed.items()} == found
        return list(typed.items())
    if output_format == "json":
        return [(entry["file"], [event["label"] for event in entry["events"]]) for entry in json.loads(text)]
    if output_format == "jams":
        jams = json.loads(text)
        return [
            (jams["file_metadata"]["identifiers"]["file"], [event["value"] for event in jams["annotations"][0]["data"]])
        ]
    if output_format == "raven":
        return [("", [row["Annotation"] for row in csv.DictReader(io.StringIO(text, newline=""), delimiter="\t")])]
    if output_format == "textgrid":
        (own,) = find_format("textgrid").parse(Source(Path("a.TextGrid"), text, "a")).events.values()
        return [("", [event.label for event in own])]
    if output_format == "audacity":
        return [("", [line.split("\t")[2] for line in text.split("\n")[:-1]])]
    lines = [line.split() for line in text.split("\n")[:-1]]
    assert all(len(line) == 10 for line in lines)
    return [(line[1], [line[7]]) for line in lines]


@settings(max_examples=300, deadline=None)
@given(found=detections, output_format=st.sampled_from(ANNOTATION_FORMATS.names()))
def test_events(tmp_path_factory: pytest.TempPathFactory, found: dict[str, list[Event]], output_format: str) -> None:
    if not ANNOTATION_FORMATS.get(output_format).holds_many:
        found = dict(list(found.items())[:1])
    try:
        text = format_events(found, output_format)
    except ConfigError as error:
        message = str(error)
    else:
        message = ""
    if message:
        assert message.startswith(f"format={output_format} is not allowed")
        assert "\n" not in message
        return
    expected = [(canonical(name), [canonical(event.label) for event in events]) for name, events in found.items()]
    got = [
        (canonical(name), list(map(canonical, labels)))
        for name, labels in read(text, output_format, tmp_path_factory.mktemp("found"))
    ]
    if output_format in ("audacity", "raven", "textgrid"):
        assert sorted(got[0][1]) == sorted(expected[0][1])
    elif output_format == "rttm":
        assert [label for _, labels in got for label in labels] == [
            "_".join(label.split()) for _, labels in expected for label in labels
        ]
    else:
        assert got == expected
    assert not set(text) & set("\x1b\x9b")


@pytest.mark.parametrize(
    "name",
    [
        '12" take.wav',
        '"take".wav',
        "#1.wav",
        " a .wav",
        "a\tb.wav",
        "a\nb.wav",
        "a\r\nb.wav",
        "nan",
        "ü.wav",
        "u\u0308.wav",
        "\u200fא.wav",
        "a\\b.wav",
        "a,b.wav",
    ],
)
def test_names_that_people_have_are_refused_by_no_table(name: str) -> None:
    for output_format in ("tsv", "json", "jams", "rttm"):
        check_names([name], output_format)


@pytest.mark.parametrize(
    ("names", "output_format", "reason"),
    [
        (["a\x1bb.wav"], "tsv", r"it cannot hold the name 'a\\x1bb.wav'; take json, or rename the file"),
        (["a\udcff.wav"], "rttm", r"it cannot hold the name 'a\\udcff.wav'; take json"),
        (["a b.wav", "a_b.flac"], "rttm", "files that differ in their endings or blanks alone"),
        (
            ["\u00e9.wav", "e\u0301.wav"],
            "json",
            r"'\\xe9.wav' and 'e\\u0301.wav' are one name in two Unicode spellings",
        ),
    ],
)
def test_names_that_are_refused(names: list[str], output_format: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_names(names, output_format)
    assert reason.replace("\\\\", "\\") in str(caught.value)


def test_labels_that_rttm_cannot_tell_apart() -> None:
    with pytest.raises(ConfigError, match=r"it cannot tell 'dog[ _]bark' from 'dog[ _]bark'; take json or jams"):
        check_labels(["dog bark", "dog_bark"], "rttm")
    for output_format in ("tsv", "json", "rttm"):
        check_labels(["Male speech, man speaking", "dog"], output_format)


fields = st.text(st.sampled_from('"\t#a ,é'), max_size=5)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.lists(fields, min_size=3, max_size=3), max_size=4), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
)
def test_tables_that_csv_and_pandas_write(rows: list[list[str]], quoting: int) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter="\t", quoting=quoting).writerows([["a", "b", "c"], *rows])  # type: ignore[arg-type]
    text.seek(0)
    assert [row for _, row in split_rows(text, "\t")][1:] == rows


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.lists(
            st.text(st.sampled_from('"#a ,é'), max_size=5).filter(lambda text: text[:1] != '"' or text[-1:] != '"'),
            min_size=3,
            max_size=3,
        ),
        max_size=4,
    )
)
def test_tables_that_people_type(rows: list[list[str]]) -> None:
    """Quotation marks stand for themselves, unless they enclose a field."""
    text = io.StringIO("\n".join("\t".join(row) for row in [["a", "b", "c"], *rows]), newline="")
    assert [row for _, row in split_rows(text, "\t")][1:] == rows


LABELS = [
    '12" bell',
    "#dog",
    "nan",
    "null",
    "007",
    "1e3",
    "a, b",
    "it's",
    "a=b",
    "$x",
    "-",
    "日本",
    "a\\b",
    "[red]",
    "e\u0301",
]


def test_class_lists_in_files(tmp_path: Path) -> None:
    expected = [*LABELS[:-1], "é"]
    model = es.create_model("fmn04", classes=LABELS)
    assert list(model.classes) == expected
    es.save_model(model, tmp_path / "model.safetensors")
    assert list(es.load_model(str(tmp_path / "model.safetensors")).classes) == expected
    list(write_scores(tmp_path / "a.npz", iter([np.zeros((1, len(LABELS)))]), 1, LABELS, 0.04))
    assert np.load(tmp_path / "a.npz")["classes"].tolist() == LABELS
    with h5py.File(tmp_path / "teacher.h5", "w") as file:
        file["filenames"] = np.array(["e\u0301.wav".encode()])
        file["strong_logits"] = np.arange(len(LABELS), dtype=np.float16)[None, :, None]
        file["classes"] = np.array(LABELS, dtype=h5py.string_dtype())
        file.attrs["frame_hop_s"] = 0.04
    teacher = PseudoLabels(tmp_path / "teacher.h5", expected[::-1])
    assert "é.wav" in teacher
    assert teacher.read("é.wav", 0, 1)[:, 0].tolist() == list(range(len(LABELS)))[::-1]
    with pytest.raises(ConfigError, match=r"label 'e\u0301' is there twice|label 'é' is there twice"):
        es.create_model("fmn04", classes=["é", "e\u0301"])
