"""The index reads each clip once, notices changes, and is made anew where it is damaged."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile

from efficient_sed.data.storage import index
from efficient_sed.data.storage.index import IndexRow, file_stamp, index_file, look_up
from efficient_sed.data.storage.sources import AudioFile


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EFFICIENT_SED_HOME", str(tmp_path / "home"))
    audio = tmp_path / "audio"
    audio.mkdir()
    for number in range(3):
        soundfile.write(audio / f"{number}.wav", np.zeros(8000 * (number + 1)), 16_000)
    (audio / "3.wav").write_text("no sound")
    return audio


def rows(folder: Path) -> list[IndexRow]:
    return [IndexRow(path.name, file_stamp(path), AudioFile(path)) for path in sorted(folder.iterdir())]


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    read: list[str] = []
    probe = index._probe

    def counted(row: IndexRow) -> index.IndexEntry:
        read.append(row.key)
        return probe(row)

    monkeypatch.setattr(index, "_probe", counted)
    return read


def test_each_clip_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = count_reads(monkeypatch)
    first = look_up(folder, rows(folder), num_workers=2)
    assert [entry.duration_s for entry in first] == [0.5, 1.0, 1.5, 0.0]
    assert [entry.digest for entry in first] == [AudioFile(path).content_hash() for path in sorted(folder.iterdir())]
    assert "not readable as audio" in first[3].problem
    assert look_up(folder, rows(folder)[::-1], num_workers=0) == first[::-1]
    assert sorted(read) == ["0.wav", "1.wav", "2.wav", "3.wav"]


def test_a_changed_file_is_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look_up(folder, rows(folder), num_workers=0)
    read = count_reads(monkeypatch)
    soundfile.write(folder / "1.wav", np.zeros(32_000), 16_000)
    assert [entry.duration_s for entry in look_up(folder, rows(folder), num_workers=0)] == [0.5, 2.0, 1.5, 0.0]
    assert read == ["1.wav"]


@pytest.mark.parametrize("damage", ["cut", "empty", "text"])
def test_a_damaged_index_is_made_anew(folder: Path, caplog: pytest.LogCaptureFixture, damage: str) -> None:
    before = look_up(folder, rows(folder), num_workers=0)
    path = index_file(folder)
    data = path.read_bytes()
    path.write_bytes({"cut": data[: len(data) // 2], "empty": b"", "text": b"no archive"}[damage])
    with caplog.at_level(logging.WARNING):
        assert look_up(folder, rows(folder), num_workers=0) == before
    assert "made anew" in caplog.text
    assert path.read_bytes() != b""


def test_a_file_that_was_absent_may_be_there_later(folder: Path) -> None:
    absent = IndexRow("9.wav", "stamp", AudioFile(folder / "9.wav"))
    assert "cannot be read" in look_up(folder, [absent], num_workers=0)[0].problem
    soundfile.write(folder / "9.wav", np.zeros(8000), 16_000)
    assert look_up(folder, [absent], num_workers=0)[0].duration_s == 0.5
