"""Own recordings: what is read, and the line that names what cannot be."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import soundfile

from efficient_sed.cli.main import main
from efficient_sed.data.events import Event, Splits, clip_events
from efficient_sed.data.sets.folder import FolderConfig, read_folder
from efficient_sed.errors import ConfigError, DataError

HEADER = "filename\tonset\toffset\tevent_label"
ROWS = {
    "train": ["a.wav\t0.5\t1.5\tdog", "b.flac\t\t\t", "a.wav\t0.2\t0.4\tbell"],
    "validation": ["c.wav\t0\t2\tdog"],
    "test": ["sub/d.wav\t0.1\t0.3\tsiren"],
}
LENGTHS = {"a.wav": (2.0, 16_000), "b.flac": (1.5, 44_100), "c.wav": (2.0, 8_000), "sub/d.wav": (1.0, 16_000)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A valid data set of four recordings."""
    for name, (seconds, rate) in LENGTHS.items():
        path = tmp_path / "audio" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.zeros(int(seconds * rate)), rate)
    for part, rows in ROWS.items():
        annotate(tmp_path, part, rows)
    return tmp_path


def annotate(root: Path, part: str, rows: list[str], header: str = HEADER) -> None:
    (root / f"{part}.tsv").write_text("\n".join([header, *rows]) + "\n")


def load(root: Path, **options: Any) -> Splits:
    return FolderConfig(root=str(root), num_workers=0, **options).load()


def test_parts_in_three_files(root: Path) -> None:
    splits = load(root)
    assert splits.classes == ("bell", "dog", "siren")
    a, b = splits.train
    assert (a.id, str(a.audio), a.duration_s) == ("a.wav", str(root / "audio" / "a.wav"), 2.0)
    assert a.events == (Event(0.2, 0.4, "bell"), Event(0.5, 1.5, "dog"))
    assert (b.id, b.events) == ("b.flac", ())  # a clip in which nothing happens is a clip
    assert b.duration_s == pytest.approx(1.5)
    assert [clip.id for clip in splits.validation + splits.test] == ["c.wav", "sub/d.wav"]
    assert splits.skipped == ()


def test_parts_in_a_column(root: Path) -> None:
    rows = [f"{part}\t{row}" for part, rows in ROWS.items() for row in rows]
    annotate(root, "all", rows, f"fold\t{HEADER}")
    assert load(root, annotations="all.tsv", split_column="fold") == load(root)


def test_class_list_fixes_the_order(root: Path) -> None:
    annotate(root, "test", ["sub/d.wav\t0\t0.5\tDog", *ROWS["test"]])
    assert load(root, classes=("siren", "Dog", "dog", "bell")).classes == ("siren", "Dog", "dog", "bell")
    annotate(root, "test", ROWS["test"])
    assert load(root, classes=("siren", "cat", "dog", "bell")).classes == ("siren", "cat", "dog", "bell")
    with pytest.raises(ConfigError, match="at least one label, none twice"):
        FolderConfig(classes=("dog", "dog"))


def test_events_of_one_class_are_joined(root: Path) -> None:
    annotate(
        root,
        "train",
        [
            "a.wav\t0.5\t1.0\tdog",
            "a.wav\t0.9\t1.2\tdog",
            "a.wav\t0.9\t1.2\tbell",
            "a.wav\t1.2\t1.4\tdog",
            "a.wav\t1.6\t1.8\tdog",
        ],
    )
    assert load(root).train[0].events == (Event(0.5, 1.4, "dog"), Event(0.9, 1.2, "bell"), Event(1.6, 1.8, "dog"))


def test_annotations_from_a_spreadsheet(root: Path) -> None:
    """Byte-order mark, Windows line ends, further and reordered columns, short rows."""
    rows = ["event_label\tremark\tfilename\tonset\toffset", "dog\tloud\ta.wav\t0.5\t1.5", "\t\tb.flac"]
    (root / "train.tsv").write_bytes(("\ufeff" + "\r\n".join(rows)).encode())
    first, second = load(root).train
    assert first.events == (Event(0.5, 1.5, "dog"),)
    assert second.events == ()


# DESED's validation.tsv: two of its 1,168 clips have an event that ends 0.115 s behind the file's end
def test_events_a_little_beyond_the_end_are_cut_and_counted(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(root / "audio/Y0.wav", np.zeros(160_000), 16_000)
    for number in range(1, 1168):
        (root / f"audio/Y{number}.wav").hardlink_to(root / "audio/Y0.wav")
    common, times = "0.5\t1.5", {7: "9.865\t10.115", 600: "9.865\t10.115"}
    rows = [f"Y{number}.wav\t{times.get(number, common)}\tCat" for number in range(1168)]
    annotate(root, "test", [*rows, "Y8.wav\t10.2\t10.4\tCat"])
    annotate(
        root,
        "all",
        [f"{row}\ttest" for row in rows] + [f"{row}\t{part}" for part in ("train", "validation") for row in ROWS[part]],
        f"{HEADER}\tsplit",
    )
    splits = load(root)
    assert (len(splits.test), splits.skipped) == (1168, ())
    assert {clip.events for clip in splits.test} == {(Event(0.5, 1.5, "Cat"),), (Event(9.865, 10.0, "Cat"),)}
    assert splits.overhang == {"test": (2, 1, pytest.approx(0.4))}
    assert load(root, annotations="all.tsv", on_error="skip").overhang == {"test": (2, 0, pytest.approx(0.115))}
    assert main(["data", "check", "data=folder", f"data.root={root}", "data.annotations=all.tsv"]) == 0
    assert "test part: 2 events cut at their file's end; at most 0.115 s too long\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("duration_s", "onset_s", "offset_s", "expected"),
    [
        (10.0, 1.0, 10.0, (1.0, 10.0)),
        (10.0, 1.0, 11.0, (1.0, 10.0)),
        (10.0, 1.0, 11.001, None),
        (30.0, 1.0, 33.0, (1.0, 30.0)),
        (30.0, 1.0, 33.1, None),
        (0.5, 0.1, 1.5, (0.1, 0.5)),
        (10.0, 10.0, 10.5, ()),
        (10.0, 10.5, 10.9, ()),
        (10.0, 12.0, 12.1, None),
    ],
)
def test_how_far_an_event_may_go_on(
    duration_s: float, onset_s: float, offset_s: float, expected: tuple[float, ...] | None
) -> None:
    events = [Event(0.0, 0.05, "dog"), Event(onset_s, offset_s, "bell")]
    if expected is None:
        with pytest.raises(
            DataError,
            match=r"event 'bell' at .* s lies beyond the file's end at .* s by more than \d s; correct its times",
        ):
            clip_events(events, duration_s)
        return
    inside, overhang = clip_events(events, duration_s)
    assert [event[:2] for event in inside if event.label == "bell"] == ([expected] if expected else [])
    assert overhang == (
        bool(expected) and offset_s > duration_s,
        not expected,
        pytest.approx(max(0.0, offset_s - duration_s)),
    )


SOFT = [
    " CONFIDENCE ",
    "event confidences",
    "weight",
    "sampleWeights",
    "label_probability",
    "conf_score",
    "likelihood",
    "strength",
    "agreement",
    "reliability",
    "probs",
]


@pytest.mark.parametrize("column", SOFT)
def test_weights_of_labels_are_refused(root: Path, column: str, caplog: pytest.LogCaptureFixture) -> None:
    for value in ("0.0", "0.99", "2", "nan", "high"):
        annotate(root, "train", [f"a.wav\t0.5\t1\tdog\t{value}", "b.flac"], f"{HEADER}\t{column}")
        with pytest.raises(
            DataError,
            match=rf"train\.tsv:2: {column}='{value}', but labels with a weight are not supported: .*; drop the rows",
        ):
            load(root)
    annotate(root, "train", ["a.wav\t0.5\t1\tdog\t1.0", "a.wav\t1.2\t1.3\tdog\t1", "b.flac"], f"{HEADER}\t{column}")
    assert len(load(root).train[0].events) == 2
    annotate(
        root, "train", ["a.wav\t0.5\t1\tdog\t0.6\t0", "b.flac"], f"{HEADER}\tscore\tuncertainty"
    )  # the score as detect writes it: how sure it was of what it found
    with caplog.at_level("INFO"):
        assert load(root).train[0].events == (Event(0.5, 1.0, "dog"),)
    assert f"{root / 'train.tsv'}: scores of its events are not used" in caplog.messages
    annotate(root, "train", ["a.wav\t0.5\t1\tdog\t1"], f"{HEADER}\tuncertainty")
    with pytest.raises(DataError, match=r"uncertainty='1', but .*, and set 'uncertainty' to 0 in the others$"):
        load(root)


def remove(name: str) -> Callable[[Path], Any]:
    return lambda root: (root / name).rename(root / "gone")


def row(text: str, part: str = "train") -> Callable[[Path], Any]:
    return lambda root: annotate(root, part, [*ROWS[part], text])


BAD: list[tuple[str, Callable[[Path], Any], dict[str, Any], str]] = [
    (
        "no folder",
        Path.exists,
        {"root": "nowhere"},
        r"data\.root=nowhere: no such directory; give the folder of your data set as data\.root=DIR",
    ),
    (
        "no audio folder",
        remove("audio"),
        {},
        r"{root}/audio: no such directory of audio files; name it, relative to data\.root, as data\.audio=DIR",
    ),
    ("no annotations", remove("validation.tsv"), {}, r"{root}/validation\.tsv: no such annotation file"),
    (
        "empty annotations",
        lambda root: (root / "train.tsv").write_text(""),
        {},
        r"{root}/train\.tsv: column 'filename' is missing; found: nothing; .*",
    ),
    (
        "blanks",
        lambda root: annotate(root, "train", [], HEADER.replace("\t", " ")),
        {},
        r"{root}/train\.tsv: column 'filename' is missing; found: filename onset.*; needed, separated by tabs: .*",
    ),
    (
        "no column",
        lambda root: annotate(root, "train", [], "filename\tonset\toffset\tlabels"),
        {},
        r"{root}/train\.tsv: column 'event_label' is missing; found: filename, onset, offset, labels; .*",
    ),
    (
        "not UTF-8",
        lambda root: (root / "train.tsv").write_bytes(f"{HEADER}\na.wav\t0\t1\tVögel\n".encode("latin-1")),
        {},
        r"{root}/train\.tsv: not UTF-8 text.*",
    ),
    (
        "onset after offset",
        row("a.wav\t1.5\t0.5\tdog"),
        {},
        r"{root}/train\.tsv:5: onset=1\.5 must be at least 0 and before offset=0\.5",
    ),
    ("no length", row("a.wav\t1\t1\tdog"), {}, r"{root}/train\.tsv:5: onset=1 must be at least 0 and before offset=1"),
    ("negative", row("a.wav\t-1\t1\tdog"), {}, r"{root}/train\.tsv:5: onset=-1 must be at least 0 .*"),
    ("nan", row("a.wav\tnan\t1\tdog"), {}, r"{root}/train\.tsv:5: onset=nan must be at least 0 .*"),
    ("inf", row("a.wav\t0\tinf\tdog"), {}, r"{root}/train\.tsv:5: .*offset=inf"),
    (
        "words",
        row("a.wav\t0,5\t1\tdog"),
        {},
        r"{root}/train\.tsv:5: onset='0,5', offset='1' are not seconds; write 0\.5, .*",
    ),
    ("no offset", row("a.wav\t0.5\t\tdog"), {}, r"{root}/train\.tsv:5: onset='0\.5', offset='' are not seconds"),
    ("no label", row("a.wav\t0.5\t1\t"), {}, r"{root}/train\.tsv:5: onset without event_label"),
    ("no name", row("\t0.5\t1\tdog"), {}, r"{root}/train\.tsv:5: the filename is empty"),
    (
        "unknown label",
        row("c.wav\t0\t1\tdgo", "validation"),
        {"classes": ("bell", "dog", "siren")},
        r"label 'dgo' in the annotations is not in the class list; did you mean 'dog'\? allowed: bell, dog, siren",
    ),
    (
        "labels alike",
        row("a.wav\t1.6\t1.9\tDóg"),
        {},
        r"{root}/audio: in its annotations, the classes 'Dóg' and 'dog' differ only in case or accents; write them "
        r"alike, or name both in data\.classes=\[…\] if they are two",
    ),
    (
        "no audio file",
        row("x.wav\t0\t1\tdog"),
        {},
        r"{root}/audio/x\.wav: no such audio file; data\.on_error=skip leaves such files out",
    ),
    (
        "empty audio file",
        lambda root: (root / "audio/a.wav").write_bytes(b""),
        {},
        r"{root}/audio/a\.wav: the audio file is empty \(0 bytes\); data\.on_error=skip .*",
    ),
    (
        "text",
        lambda root: (root / "audio/a.wav").write_text("hello " * 99),
        {},
        r"{root}/audio/a\.wav: not readable as audio .*; data\.on_error=skip .*",
    ),
    (
        "event beyond the end",
        row("a.wav\t1\t3.2\tbell"),
        {},
        r"{root}/audio/a\.wav: event 'bell' at 1-3\.2 s lies beyond the file's end at 2 s by more than 1 s; .*",
    ),
    (
        "no clip",
        lambda root: annotate(root, "train", []),
        {},
        r"{root}/audio: 0 clips for training; add rows to its annotations",
    ),
    (
        "no test clip",
        lambda root: annotate(root, "test", []),
        {},
        r"{root}/audio: 0 clips for test; add rows to its annotations",
    ),
    (
        "unknown part",
        lambda root: annotate(root, "all", ["a.wav\t\t\t\tvalid"], f"{HEADER}\tsplit"),
        {"annotations": "all.tsv"},
        r"{root}/all\.tsv:2: split='valid' is not a part; did you mean 'validation'\? .*",
    ),
    (
        "no part column",
        lambda root: annotate(root, "all", []),
        {"annotations": "all.tsv"},
        r"{root}/all\.tsv: column 'split' is missing; .*",
    ),
    (
        "two bad files",
        lambda root: [(root / "audio" / name).write_bytes(b"") for name in ("a.wav", "b.flac")],
        {},
        r"{root}/audio/a\.wav: .* \(and 1 more\); data\.on_error=skip .*",
    ),
]


@pytest.mark.parametrize(("spoil", "options", "message"), [entry[1:] for entry in BAD], ids=[entry[0] for entry in BAD])
def test_bad_folders(root: Path, spoil: Callable[[Path], Any], options: dict[str, Any], message: str) -> None:
    spoil(root)
    with pytest.raises(DataError, match=f"^{message.replace('{root}', str(root))}$") as caught:
        load(**{"root": root, **options})
    assert "\n" not in str(caught.value)


def test_no_event_at_all(root: Path) -> None:
    for part, name in zip(ROWS, ("a.wav", "b.flac", "c.wav"), strict=True):
        annotate(root, part, [f"{name}\t\t\t"])
    with pytest.raises(
        DataError,
        match=r"the annotations hold no event, so there is nothing to learn; name the classes as data\.classes=",
    ):
        load(root)
    assert load(root, classes=("dog",)).classes == ("dog",)


def test_bad_files_are_skipped_and_counted(root: Path) -> None:
    (root / "audio/a.wav").write_text("hello")
    (root / "audio/e.wav").write_bytes((root / "audio/sub/d.wav").read_bytes())
    annotate(root, "validation", [*ROWS["validation"], "e.wav\t0\t9\tdog"])
    splits = load(root, on_error="skip")
    assert [clip.id for clip in splits.train] == ["b.flac"]
    assert [clip.id for clip in splits.validation] == ["c.wav"]
    assert len(splits.skipped) == 2
    assert splits.skipped[0].startswith(f"{root}/audio/a.wav: not readable as audio")
    assert "e.wav: event 'dog' at 0-9 s lies beyond" in splits.skipped[1]
    (root / "audio/b.flac").write_text("hello")
    with pytest.raises(DataError, match=r"0 clips for training; .*a\.wav: not readable"):
        load(root, on_error="skip")


def test_a_file_in_two_parts_is_refused(root: Path) -> None:
    annotate(root, "test", [*ROWS["test"], ROWS["train"][0]])
    with pytest.raises(DataError, match=r"stands in the parts train and test; a file belongs to one"):
        load(root)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ('"dog', '"dog'),
        ('12" bell', '12" bell'),
        ('bell 12"', 'bell 12"'),
        ('"12"" bell"', '12" bell'),
        ('"dog"', "dog"),
        ('"""dog"""', '"dog"'),
        ('"dog" bark', '"dog" bark'),
        ('""', None),
        (" dog ", "dog"),
        ("#dog", "#dog"),
        ("nan", "nan"),
        ("007", "007"),
    ],
)
def test_quotation_marks_of_all_sorts(root: Path, label: str, expected: str | None) -> None:
    """As csv and pandas write them, and as people type them; none swallows the rows that follow."""
    annotate(root, "train", [f"a.wav\t0\t0.5\t{label}", 'b.flac\t0\t0.5\tcat"'])
    if expected is None:
        with pytest.raises(DataError, match="onset without event_label"):
            load(root)
        return
    assert [[event.label for event in clip.events] for clip in load(root).train] == [[expected], ['cat"']]


NFC, NFD = "Gr\u00fc\u00dfe \u00e9", "Gru\u0308\u00dfe e\u0301"


@pytest.mark.parametrize(("on_disk", "typed"), [(NFC, NFD), (NFD, NFC)])
def test_both_spellings_of_unicode_are_one(root: Path, on_disk: str, typed: str) -> None:
    """Folders and files of macOS are spelled in NFD, most tables in NFC."""
    (root / "audio").rename(root / f"audio {on_disk}")
    (root / "audio").symlink_to(f"audio {on_disk}")
    (root / "audio" / on_disk).mkdir()
    (root / "audio/a.wav").rename(root / "audio" / on_disk / f"{on_disk}.wav")
    annotate(
        root, "train", [f"{typed}/{typed}.wav\t0\t1\t{typed}", f"{on_disk}/{on_disk}.wav\t1.5\t2\t{on_disk}", "b.flac"]
    )
    splits = load(root, classes=(on_disk, "dog", "siren"), audio=f"audio {typed}")
    assert splits.classes == (NFC, "dog", "siren")
    assert splits.train[0].id == f"{NFC}/{NFC}.wav"
    assert splits.train[0].events == (Event(0, 1, NFC), Event(1.5, 2, NFC))
    assert splits.train[0].audio.read().shape == (32_000,)
    annotate(root, "test", [*ROWS["test"], f"{on_disk}/{typed}.wav\t0\t1\tdog"])
    with pytest.raises(DataError, match="stands in the parts train and test"):
        load(root)


def test_a_folder_that_cannot_be_listed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    annotate(root, "train", [f"{NFC}.wav\t0\t1\tdog"])
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(
        DataError, match=r"audio: cannot be read \(Permission denied\); data\.on_error=skip leaves such files out$"
    ):
        load(root)


def test_two_files_of_one_name(root: Path) -> None:
    for name in (NFC, NFD):
        soundfile.write(root / f"audio/{name}.wav", np.zeros(16_000), 16_000)
    annotate(root, "train", [f"{NFC}.wav\t0\t1\tdog"])
    for options in ({}, {"train": None}):
        with pytest.raises(
            DataError,
            match=(
                r"'Gr\\xfc.*wav' and 'Gru\\u0308.*wav' are one name in two Unicode spellings|'Gru.*' and 'Gr\\xfc.*'"
                r" are one name"
            ),
        ):
            load(root, **options)


@pytest.mark.parametrize(
    ("on_error", "words"), [("raise", "a.wav: no such audio file; "), ("skip", ": 0 clips for training; ")]
)
def test_missing_files_are_counted_and_named(tmp_path: Path, on_error: Literal["raise", "skip"], words: str) -> None:
    (tmp_path / "audio").mkdir()
    rows = "".join(f"{name}.wav\t0.1\t0.3\tdog\n" for name in "abcde")
    (tmp_path / "train.tsv").write_text(f"filename\tonset\toffset\tevent_label\n{rows}")
    with pytest.raises(DataError) as caught:
        read_folder(
            tmp_path / "audio", {"train": tmp_path / "train.tsv", "validation": None, "test": None}, on_error=on_error
        )
    assert (
        f"{words}5 of the 5 audio files in its annotations are not below {tmp_path / 'audio'}: a.wav, b.wav, c.wav, …"
        in str(caught.value)
    )
