"""Sounds are found in class folders and tables; what is left out is said, what cannot be is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from efficient_sed.data.mixing.find import find_labelled
from efficient_sed.errors import DataError

KEY = "data.foreground"


def put(folder: Path, *names: str) -> None:
    """Files that are never opened."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize(
    "text",
    [
        "filename,category\na.wav,dog\nb.wav,cat\n",
        '"filename","category"\n"a.wav","dog"\n"b.wav","cat"\n',
        "category;filename\ndog;a.wav\ncat;b.wav\n",
        "filename\tcategory\na.wav\tdog\nb.wav\tcat\n",
    ],
)
@pytest.mark.parametrize("table", ["t.csv", "meta/t.csv"])
def test_tables_as_programs_write_them(tmp_path: Path, table: str, text: str) -> None:
    put(tmp_path, "audio/a.wav", "audio/b.wav", table)
    (tmp_path / table).write_text(text)
    assert [(sound.name, sound.label) for sound in find_labelled(KEY, tmp_path, None)] == [
        ("audio/a.wav", "dog"), ("audio/b.wav", "cat"),
    ]  # fmt: skip


def test_what_no_table_lists(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path, "audio/a.wav", "audio/b.wav", "cat/c.wav", "d.wav")
    (tmp_path / "t.csv").write_text("filename,category\na.wav,dog\n")
    assert len(find_labelled(KEY, tmp_path, None)) == 1
    left_out = f"audio files not in {tmp_path}/t.csv are left out: 3, such as audio/b.wav"
    assert caplog.messages == [f"{KEY}={tmp_path}: {left_out}"]


def test_what_lies_beside_class_folders(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path, "dog/a.wav", "cat/b.wav", "x.wav", "y.flac", ".hidden.wav", "notes.txt")
    (tmp_path / "t.csv").write_text("name,class\na.wav,dog\n")
    with caplog.at_level("INFO", "efficient_sed.data.mixing"):
        assert [sound.label for sound in find_labelled(KEY, tmp_path, None)] == ["cat", "dog"]
    assert [message for message in caplog.messages if "passed over" not in message] == [
        f"{KEY}={tmp_path}: {tmp_path}/t.csv has no columns filename and category: not used",
        f"{KEY}={tmp_path}: audio files beside the class folders are left out: 2, such as x.wav",
    ]


@pytest.mark.parametrize(
    ("table", "text", "message"),
    [
        ("t.csv", "name,class\na.wav,dog\n", "{key}: {d}/t.csv has no columns filename and category, which name the "),
        ("meta/t.csv", "name,class\na.wav,dog\n", "{key}: {d}/meta/t.csv has no columns filename and category, which"),
        ("t.csv", "filename,category\n/x/a.wav,dog\n", "{d}/t.csv:2: /x/a.wav is not below {d}/audio, which file na"),
        ("t.csv", "filename,category\n../a.wav,dog\n", "{d}/t.csv:2: ../a.wav is not below {d}/audio, which file nam"),
        ("t.csv", "filename,category\na.wav,dog\n./a.wav,dog\n", "{d}/t.csv:3: ./a.wav is listed a second time"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, table: str, text: str, message: str) -> None:
    put(tmp_path, "audio/a.wav", table)
    (tmp_path / table).write_text(text)
    with pytest.raises(DataError) as caught:
        find_labelled(KEY, tmp_path, None)
    assert str(caught.value).startswith(message.format(d=tmp_path, key=f"{KEY}={tmp_path}"))
    assert "\n" not in str(caught.value)
