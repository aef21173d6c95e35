"""Own recordings: what is read, and the line that names what cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import soundfile

from efficient_sed.data.events import Event, Splits
from efficient_sed.data.folder import FolderConfig, read_folder
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
    assert load(root, classes=("siren", "cat", "dog", "bell")).classes == ("siren", "cat", "dog", "bell")
    with pytest.raises(ConfigError, match="at least one label, none twice"):
        FolderConfig(classes=("dog", "dog"))


def test_events_of_one_class_are_joined(root: Path) -> None:
    annotate(root, "train", ["a.wav\t0.5\t1.0\tdog", "a.wav\t0.9\t1.2\tdog", "a.wav\t0.9\t1.2\tbell", "a.wav\t1.2\t1.4\tdog", "a.wav\t1.6\t1.8\tdog"])
    assert load(root).train[0].events == (Event(0.5, 1.4, "dog"), Event(0.9, 1.2, "bell"), Event(1.6, 1.8, "dog"))


def test_annotations_from_a_spreadsheet(root: Path) -> None:
    """Byte-order mark, Windows line ends, further and reordered columns, short rows."""
    rows = ["event_label\tremark\tfilename\tonset\toffset", "dog\tloud\ta.wav\t0.5\t1.5", "\t\tb.flac"]
    (root / "train.tsv").write_bytes(("\ufeff" + "\r\n".join(rows)).encode())
    first, second = load(root).train
    assert first.events == (Event(0.5, 1.5, "dog"),)
    assert second.events == ()


def test_a_little_beyond_the_end_is_cut(root: Path) -> None:
    annotate(root, "train", ["a.wav\t1\t2.05\tdog"])
    assert load(root).train[0].events == (Event(1, 2.0, "dog"),)


def remove(name: str) -> Callable[[Path], Any]:
    return lambda root: (root / name).rename(root / "gone")


def row(text: str, part: str = "train") -> Callable[[Path], Any]:
    return lambda root: annotate(root, part, [*ROWS[part], text])


BAD: list[tuple[str, Callable[[Path], Any], dict[str, Any], str]] = [
    ("no folder", Path.exists, {"root": "nowhere"}, r"data\.root=nowhere: no such directory; give the folder of your data set as data\.root=DIR"),
    ("no audio folder", remove("audio"), {}, r"{root}/audio: no such directory of audio files; name it, relative to data\.root, as data\.audio=DIR"),
    ("no annotations", remove("validation.tsv"), {}, r"{root}/validation\.tsv: no such annotation file"),
    ("empty annotations", lambda root: (root / "train.tsv").write_text(""), {}, r"{root}/train\.tsv: column 'filename' is missing; found: nothing; .*"),
    (
        "commas",
        lambda root: annotate(root, "train", [], HEADER.replace("\t", ",")),
        {},
        r"{root}/train\.tsv: column 'filename' is missing; found: filename,onset.*; needed, separated by tabs: .*",
    ),
    (
        "no column",
        lambda root: annotate(root, "train", [], "filename\tonset\toffset\tlabel"),
        {},
        r"{root}/train\.tsv: column 'event_label' is missing; found: filename, onset, offset, label; .*",
    ),
    ("not UTF-8", lambda root: (root / "train.tsv").write_bytes(f"{HEADER}\na.wav\t0\t1\tVögel\n".encode("latin-1")), {}, r"{root}/train\.tsv: not UTF-8 text.*"),
    ("onset after offset", row("a.wav\t1.5\t0.5\tdog"), {}, r"{root}/train\.tsv:5: onset=1\.5 must be at least 0 and before offset=0\.5"),
    ("no length", row("a.wav\t1\t1\tdog"), {}, r"{root}/train\.tsv:5: onset=1 must be at least 0 and before offset=1"),
    ("negative", row("a.wav\t-1\t1\tdog"), {}, r"{root}/train\.tsv:5: onset=-1 must be at least 0 .*"),
    ("nan", row("a.wav\tnan\t1\tdog"), {}, r"{root}/train\.tsv:5: onset=nan must be at least 0 .*"),
    ("inf", row("a.wav\t0\tinf\tdog"), {}, r"{root}/train\.tsv:5: .*offset=inf"),
    ("words", row("a.wav\t0,5\t1\tdog"), {}, r"{root}/train\.tsv:5: onset='0,5', offset='1' are not seconds"),
    ("no offset", row("a.wav\t0.5\t\tdog"), {}, r"{root}/train\.tsv:5: onset='0\.5', offset='' are not seconds"),
    ("no label", row("a.wav\t0.5\t1\t"), {}, r"{root}/train\.tsv:5: onset without event_label"),
    ("no name", row("\t0.5\t1\tdog"), {}, r"{root}/train\.tsv:5: the filename is empty"),
    (
        "unknown label",
        row("c.wav\t0\t1\tdgo", "validation"),
        {"classes": ("bell", "dog", "siren")},
        r"label 'dgo' in the annotations is not in the class list; did you mean 'dog'\? allowed: bell, dog, siren",
    ),
    ("no audio file", row("x.wav\t0\t1\tdog"), {}, r"{root}/audio/x\.wav: no such audio file; data\.on_error=skip leaves such files out"),
    ("empty audio file", lambda root: (root / "audio/a.wav").write_bytes(b""), {}, r"{root}/audio/a\.wav: the audio file is empty \(0 bytes\); data\.on_error=skip .*"),
    ("text", lambda root: (root / "audio/a.wav").write_text("hello " * 99), {}, r"{root}/audio/a\.wav: not readable as audio .*; data\.on_error=skip .*"),
    ("event beyond the end", row("a.wav\t1\t2.2\tbell"), {}, r"{root}/audio/a\.wav: event 'bell' at 1-2\.2 s lies beyond the file's end at 2 s; .*"),
    ("event after the end", row("a.wav\t2\t2.05\tbell"), {}, r"{root}/audio/a\.wav: event 'bell' at 2-2\.05 s lies beyond the file's end at 2 s; .*"),
    ("no clip", lambda root: annotate(root, "train", []), {}, r"{root}/audio: 0 clips for training; add rows to its annotations"),
    ("no test clip", lambda root: annotate(root, "test", []), {}, r"{root}/audio: 0 clips for test; add rows to its annotations"),
    (
        "unknown part",
        lambda root: annotate(root, "all", ["a.wav\t\t\t\tvalid"], f"{HEADER}\tsplit"),
        {"annotations": "all.tsv"},
        r"{root}/all\.tsv:2: split='valid' is not a part; did you mean 'validation'\? .*",
    ),
    ("no part column", lambda root: annotate(root, "all", []), {"annotations": "all.tsv"}, r"{root}/all\.tsv: column 'split' is missing; .*"),
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
    with pytest.raises(DataError, match=r"the annotations hold no event, so there is nothing to learn; name the classes as data\.classes="):
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
    with pytest.raises(DataError, match=r"0 clips for training; add rows to its annotations \(.*a\.wav: not readable"):
        load(root, on_error="skip")


def test_a_file_in_two_parts_is_refused(root: Path) -> None:
    annotate(root, "test", [*ROWS["test"], ROWS["train"][0]])
    with pytest.raises(DataError, match=r"stands in the parts train and test; a file belongs to one"):
        load(root)


def test_a_quotation_mark_swallows_nothing(root: Path) -> None:
    annotate(root, "train", ['a.wav\t0\t0.5\t"dog', "b.flac\t0\t0.5\tcat"])
    assert {clip.id for clip in load(root).train} == {"a.wav", "b.flac"}


@pytest.mark.parametrize(("on_error", "words"), [("raise", "a.wav: no such audio file; "), ("skip", ": 0 clips for training; ")])
def test_missing_files_are_counted_and_named(tmp_path: Path, on_error: Literal["raise", "skip"], words: str) -> None:
    (tmp_path / "audio").mkdir()
    rows = "".join(f"{name}.wav\t0.1\t0.3\tdog\n" for name in "abcde")
    (tmp_path / "train.tsv").write_text(f"filename\tonset\toffset\tevent_label\n{rows}")
    with pytest.raises(DataError) as caught:
        read_folder(tmp_path / "audio", {"train": tmp_path / "train.tsv", "validation": None, "test": None}, on_error=on_error)
    assert f"{words}5 of the 5 audio files in its annotations are not below {tmp_path / 'audio'}: a.wav, b.wav, c.wav, …" in str(caught.value)
