"""Annotations find the audio that they are about: by file name, by stem, as a tree beside the audio or in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from efficient_sed.cli.main import main
from efficient_sed.data.annotations.audio_names import named_as_audio
from efficient_sed.data.events import Event
from efficient_sed.data.sets.folder import FolderConfig
from efficient_sed.errors import ConfigError, DataError

AUDIO = ("train/a.wav", "train/b.flac", "test/a.wav", "c.v2.wav", "only/d.mp3")


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    for name in AUDIO:
        (tmp_path / "audio" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "audio" / name).touch()
    return tmp_path / "audio"


@pytest.mark.parametrize(
    ("folder", "name", "expected"),
    [
        (None, "train/a.wav", "train/a.wav"),
        (None, "train/a", "train/a.wav"),
        (None, "c.v2", "c.v2.wav"),
        (None, "d", "only/d.mp3"),
        (None, "b.wav", "b.wav"),  # a name with an ending is meant as it stands
        (None, "e", "e"),
        ("labels/train", "a", "train/a.wav"),
        ("labels/test", "a", "test/a.wav"),
        ("labels/test", "a.wav", "test/a.wav"),
        ("labels", "train/a", "train/a.wav"),
        ("audio/train", "b", "train/b.flac"),
        ("audio", "train/b", "train/b.flac"),
    ],
)
def test_a_name(audio: Path, folder: str | None, name: str, expected: str) -> None:
    where = None if folder is None else audio.parent / folder
    assert list(named_as_audio({name: []}, audio, where)) == [expected]


def test_names_of_several(audio: Path) -> None:
    with pytest.raises(DataError, match=r"annotations of 'a' may be about test/a\.wav or train/a\.wav"):
        named_as_audio({"a": []}, audio)
    with pytest.raises(DataError, match=r"'train/a' and 'train/a\.wav' are both about train/a\.wav; remove one"):
        named_as_audio({"train/a": [], "train/a.wav": []}, audio)


def test_parts_of_every_kind(tmp_path: Path, sounds: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A folder of label tracks, one of tables beside the audio, and a CSV from a spreadsheet."""
    (tmp_path / "labels/train").mkdir(parents=True)
    (tmp_path / "labels/train/a.txt").write_text("0.5\t1.5\tdog\n")
    (tmp_path / "labels/train/b.txt").touch()
    table = "Selection\tBegin Time (s)\tEnd Time (s)\tSpecies\n1\t0\t1\tdog\n"
    (sounds / "later/c.Table.1.selections.txt").write_text(table)
    (tmp_path / "test.csv").write_text("file;start;end;class\nd.wav;0,1;0,4;cat\n")
    options = {"root": str(tmp_path), "train": "labels/train", "validation": "audio/later", "num_workers": 0}
    with caplog.at_level("INFO"):
        splits = FolderConfig(**options, test="test.csv").load()  # type: ignore[arg-type]
    assert [(clip.id, clip.events) for clip in (*splits.train, *splits.validation, *splits.test)] == [
        ("a.wav", (Event(0.5, 1.5, "dog"),)), ("b.wav", ()), ("later/c.wav", (Event(0, 1, "dog"),)),
        ("d.wav", (Event(0.1, 0.4, "cat"),)),
    ]  # fmt: skip
    assert f"{tmp_path}/labels/train: read as audacity (1), an empty file (1)" in caplog.messages
    with pytest.raises(ConfigError, match=r"data\.annotation_format=ravn is not allowed: did you mean 'raven'\?"):
        FolderConfig(annotation_format="ravn")
    with pytest.raises(DataError, match=r"test\.csv: read as rttm, which has no column 'split' for the part of a row"):
        FolderConfig(**options, annotations="test.csv", annotation_format="rttm").load()  # type: ignore[arg-type]


@pytest.mark.usefixtures("sounds")
def test_how_it_is_typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names of columns are taken as typed, and do not decide what is trained."""
    (tmp_path / "a.csv").write_text("rec,from (s),to (s),what\na.wav,0.5,1.5,dog\n")
    (tmp_path / "b.tsv").write_text("filename\tonset\toffset\tevent_label\na.wav\t0.5\t1.5\tdog\n")
    words = ["data", "check", "data=folder", f"data.root={tmp_path}", "data.validation=null", "data.test=null"]
    own = ["onset=from (s)", "offset=to (s)", "label=what", "filename=rec"]
    assert main([*words, "data.train=a.csv", *(f"data.columns.{each}" for each in own)]) == 0
    first = capsys.readouterr().out
    assert main([*words, "data.train=b.tsv"]) == 0
    assert capsys.readouterr().out == first
    assert main([*words, "data.train=b.tsv", "data.columns.labl=x"]) == 2
    assert "unknown key data.columns.labl" in capsys.readouterr().err


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    import numpy as np
    import soundfile

    for name in ("a.wav", "b.wav", "later/c.wav", "d.wav"):
        path = tmp_path / "audio" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.zeros(32_000), 16_000)
    return tmp_path / "audio"
