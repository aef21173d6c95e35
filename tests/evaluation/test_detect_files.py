"""Many recordings: what is found below folders, several processes, the standard input, scores of every frame, and what cannot be read."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

import efficient_sed as es
from efficient_sed.errors import CheckpointError, DataError
from efficient_sed.evaluation.detect import DetectOptions, open_detector, score_file
from efficient_sed.evaluation.detect_files import check_outputs, detect_files, detect_one, find_recordings, spooled_stdin
from efficient_sed.evaluation.score_files import write_scores

RATE = 16_000
LOW = DetectOptions(threshold=0.05)


def write_noise(path: Path, seconds: float, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * RATE))
    soundfile.write(path, np.random.default_rng(seed).normal(size=len(time)) * np.abs(np.sin(time / 5000)) * 0.1, RATE)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    es.save_model(es.create_model("fmn04", classes=["dog", "siren"]), path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three recordings, one of them longer than a window, and files that are none."""
    for index, (name, seconds) in enumerate((("b.wav", 1.0), ("sub/a.FLAC", 11.5), ("sub/c.wav", 2.0))):
        write_noise(tmp_path / name, seconds, index)
    (tmp_path / "notes.txt").write_text("no audio")
    (tmp_path / "sub" / "._c.wav").write_bytes(b"what a Macintosh leaves")
    return tmp_path


def test_folders_are_searched(folder: Path) -> None:
    recordings, unreadable = find_recordings([folder, folder / "b.wav"])
    assert [recording.path.relative_to(folder).as_posix() for recording in recordings] == ["b.wav", "sub/a.FLAC", "sub/c.wav", "b.wav"]
    assert [recording.output.as_posix() for recording in recordings] == ["b", "sub/a", "sub/c", "b"]
    assert recordings[1].duration_s == 11.5
    assert unreadable == []
    check_outputs(recordings)  # the same file twice


def test_what_cannot_be_read(folder: Path) -> None:
    (folder / "sub" / "damaged.wav").write_bytes(b"RIFF")
    recordings, (message,) = find_recordings([folder])
    assert len(recordings) == 3
    assert message.startswith(f"{folder}/sub/damaged.wav: not readable as audio")
    with pytest.raises(DataError, match=r"damaged\.wav: not readable as audio"):
        find_recordings([folder / "sub" / "damaged.wav"])
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: no audio in this folder; files that end in \.wav, \.flac, \.ogg, \.mp3 are taken"):
        find_recordings([folder / "empty"])
    write_noise(folder / "other" / "b.wav", 1.0)
    recordings, _ = find_recordings([folder / "b.wav", folder / "other" / "b.wav"])
    with pytest.raises(DataError, match=r"b\.wav and .*other/b\.wav: their results would both be called b; give them one at a time"):
        check_outputs(recordings)


@pytest.mark.parametrize("jobs", [1, 2])
def test_each_recording_has_the_events_of_detect(folder: Path, model: Path, jobs: int) -> None:
    recordings, _ = find_recordings([folder])
    heard: list[float] = []
    found = {each.recording.name: each for each in detect_files(recordings, str(model), LOW, jobs=jobs, heard=heard.append)}
    assert len(found) == 3
    for recording in recordings:
        assert found[recording.name].events == es.detect(recording.path, str(model), 0.05)
        assert found[recording.name].error is None
    assert any(each.events for each in found.values())
    assert sum(heard) == pytest.approx(14.5)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_damaged_recording_leaves_the_others(folder: Path, model: Path, jobs: int) -> None:
    recordings, _ = find_recordings([folder])
    (folder / "b.wav").unlink()
    found = {each.recording.path.name: each for each in detect_files(recordings, str(model), LOW, jobs=jobs)}
    assert found["b.wav"].error == f"{folder}/b.wav: no such audio file"
    assert found["a.FLAC"].error is None


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_model_that_is_not_there(folder: Path, jobs: int) -> None:
    recordings, _ = find_recordings([folder])
    with pytest.raises(CheckpointError, match=r"absent\.safetensors: no such checkpoint file"):
        list(detect_files(recordings, str(folder / "absent.safetensors"), LOW, jobs=jobs))


def test_scores_of_every_frame(folder: Path, model: Path, tmp_path: Path) -> None:
    loaded = open_detector(model)
    for recording in find_recordings([folder])[0]:
        found = detect_one(recording, loaded, LOW, tmp_path / "scores")
        with np.load(tmp_path / "scores" / f"{recording.output}.npz") as stored:
            expected = np.concatenate(list(score_file(recording.path, loaded, LOW)))
            np.testing.assert_array_equal(stored["scores"], expected)
            assert (stored["classes"].tolist(), float(stored["hop_s"])) == (["dog", "siren"], 0.04)
        assert len(expected) == int(np.ceil(round(recording.duration_s / 0.04, 6)))
        assert found.events == es.detect(recording.path, loaded, 0.05)


def test_scores_that_are_not_finished_leave_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(b"before")
    pieces = write_scores(path, iter([np.zeros((5, 2)), np.zeros((5, 2))]), 10, ["a", "b"], 0.04)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert (path.read_bytes(), [file.name for file in tmp_path.iterdir()]) == (b"before", ["a.npz"])
    with pytest.raises(DataError, match=r"a\.npz/b\.npz: cannot be written"):
        list(write_scores(path / "b.npz", iter([]), 0, ["a"], 0.04))


def test_the_standard_input(folder: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO((folder / "b.wav").read_bytes())))
    with spooled_stdin() as recording:
        (found,) = detect_files([recording], str(model), LOW)
    assert (recording.name, recording.output) == ("stdin", Path("stdin"))
    assert found.events == es.detect(folder / "b.wav", str(model), 0.05)
    assert not recording.path.exists()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"no audio")))
    with pytest.raises(DataError, match=r"^stdin: not readable as audio"), spooled_stdin():
        pass
