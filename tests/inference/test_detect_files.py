"""Many recordings: folders, several processes, the standard input, scores of every frame, unreadable files."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import efficient_sed as es
from efficient_sed.errors import CheckpointError, DataError
from efficient_sed.inference.detect import open_detector, score_file
from efficient_sed.inference.detect_files import detect_files
from efficient_sed.inference.detect_one import Task, detect_one
from efficient_sed.inference.detect_options import DetectOptions
from efficient_sed.inference.recordings import check_outputs, find_recordings, spooled_stdin
from efficient_sed.inference.score_files import write_scores

RATE = 16_000
OPTIONS = DetectOptions(threshold=0.05)
LOW = Task(OPTIONS)


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
    assert [recording.path.relative_to(folder).as_posix() for recording in recordings] == [
        "b.wav",
        "sub/a.FLAC",
        "sub/c.wav",
        "b.wav",
    ]
    assert [recording.output.as_posix() for recording in recordings] == ["b", "sub/a", "sub/c", "b"]
    assert recordings[1].duration_s == 11.5
    assert unreadable == []
    check_outputs(recordings)  # the same file twice


def test_what_cannot_be_read(folder: Path) -> None:
    (folder / "sub" / "damaged.wav").write_bytes(b"RIFF")
    recordings, (message,) = find_recordings([folder])
    assert len(recordings) == 3
    assert message.startswith(f"{folder}/sub/damaged.wav: not readable as audio")
    assert find_recordings([folder / "sub" / "damaged.wav"]) == ([], [message])
    (folder / "sub" / "gone.flac").symlink_to("nowhere.flac")
    assert find_recordings([folder])[1] == [message, f"{folder}/sub/gone.flac: no such audio file"]
    (folder / "empty").mkdir()
    with pytest.raises(
        DataError, match=r"empty: no audio in this folder; files that end in \.wav, \.wave, .* are taken"
    ):
        find_recordings([folder / "empty"])
    write_noise(folder / "other" / "b.wav", 1.0)
    recordings, _ = find_recordings([folder / "b.wav", folder / "other" / "b.wav"])
    with pytest.raises(
        DataError, match=r"b\.wav and .*other/b\.wav: their results would both be called b; give them one at a time"
    ):
        check_outputs(recordings)


@pytest.mark.parametrize("jobs", [1, 2])
def test_each_recording_has_the_events_of_detect(folder: Path, model: Path, jobs: int) -> None:
    recordings, _ = find_recordings([folder])
    scored: list[float] = []
    found = {
        each.recording.name: each
        for each in detect_files(recordings, str(model), LOW, jobs=jobs, progress=scored.append)
    }
    assert len(found) == 3
    for recording in recordings:
        assert found[recording.name].events == es.detect(recording.path, str(model), 0.05)
        assert found[recording.name].error is None
    assert any(each.events for each in found.values())
    assert sum(scored) == pytest.approx(14.5)


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
        found = detect_one(recording, loaded, Task(OPTIONS, tmp_path / "scores"))
        with np.load(tmp_path / "scores" / f"{recording.output}.npz") as stored:
            expected = np.concatenate(list(score_file(recording.path, loaded, OPTIONS)))
            np.testing.assert_array_equal(stored["scores"], expected)
            assert (stored["classes"].tolist(), float(stored["hop_s"])) == (["dog", "siren"], 0.04)
        assert len(expected) == int(np.ceil(round(recording.duration_s / 0.04, 6)))
        assert found.events == es.detect(recording.path, loaded, 0.05)


def test_a_folder_of_scores_is_evaluated(folder: Path, model: Path, tmp_path: Path) -> None:
    recordings, loaded = find_recordings([folder])[0][:2], open_detector(model)
    scores = tmp_path / "scores"
    kept = {
        str(item.output): detect_one(item, loaded, Task(OPTIONS, scores, has_scores=True)).scores for item in recordings
    }
    arrays = {clip: found.scores for clip, found in kept.items() if found}
    truth = {clip: [(0.0, 0.5, "dog"), (0.1, 0.2, "siren")] for clip in arrays}
    durations = {str(item.output): item.duration_s for item in recordings}
    options: dict[str, Any] = {"classes": loaded.classes, "frame_hop_s": 0.04, "max_efpr": 1e6}
    read, given = (es.psds1(some, truth, durations, **options).per_class for some in (scores, arrays))
    assert read == given


def test_scores_that_are_not_finished_leave_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(b"before")
    pieces = write_scores(path, iter([np.zeros((5, 2)), np.zeros((5, 2))]), 10, ["a", "b"], 0.04)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert (path.read_bytes(), [file.name for file in tmp_path.iterdir()]) == (b"before", ["a.npz"])
    with pytest.raises(DataError, match=r"a\.npz/b\.npz: cannot be written"):
        list(write_scores(path / "b.npz", iter([]), 0, ["a"], 0.04))


def test_scores_are_kept_if_asked_for(folder: Path, model: Path) -> None:
    (recording, _), _ = find_recordings([folder / "sub"])
    assert next(detect_files([recording], str(model), LOW)).scores is None
    for jobs in (1, 2):
        (found,) = detect_files([recording], str(model), Task(OPTIONS, has_scores=True), jobs=jobs)
        assert found.scores is not None
        np.testing.assert_allclose(
            found.scores.scores,
            np.concatenate(list(score_file(recording.path, open_detector(model), OPTIONS))),
            atol=1e-6,
        )
        assert (found.scores.classes, found.scores.hop_s) == (["dog", "siren"], 0.04)


def listen(path: Path, model: Path, folder: Path) -> tuple[float, str | None, int]:
    """Seconds, what is said instead of events, and scored frames; all that is wrong is said by one line."""
    recordings, messages = find_recordings([path])
    if not recordings:
        return 0.0, messages[0], 0
    (recording,) = recordings
    found = detect_one(recording, open_detector(model), Task(OPTIONS, folder))
    assert all(0 <= event.onset_s < event.offset_s <= recording.duration_s + 1e-6 for event in found.events)
    return recording.duration_s, found.error, 0 if found.error else len(np.load(folder / f"{path.stem}.npz")["scores"])


@pytest.mark.parametrize("num_samples", [1, 160])
def test_hardly_any_sound(model: Path, tmp_path: Path, num_samples: int) -> None:
    soundfile.write(tmp_path / "a.wav", np.full(num_samples, 0.1), RATE)
    assert listen(tmp_path / "a.wav", model, tmp_path) == (num_samples / RATE, None, 1)


@pytest.mark.parametrize("share", [0.005, 0.5, 0.97])
@pytest.mark.parametrize("suffix", ["wav", "ogg", "flac", "mp3"])
def test_the_end_of_the_file_is_missing(model: Path, tmp_path: Path, suffix: str, share: float) -> None:
    """What can be decoded is the recording."""
    path = write_noise(tmp_path / f"a.{suffix}", 12.0)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    duration_s, error, num_frames = listen(path, model, tmp_path)
    if error is None:
        assert duration_s == pytest.approx(12 * share, rel=0.2)  # an Ogg page holds up to a second
        assert num_frames == int(np.ceil(round(duration_s / 0.04, 6)))
    else:
        assert share == 0.005
        assert error.startswith(f"{path}: ")
        assert "\n" not in error


@pytest.mark.parametrize("told", [2 * RATE, 2**32 - 1, 0])
def test_a_header_that_is_not_up_to_date(model: Path, tmp_path: Path, told: int) -> None:
    """As recorders leave it until they stop: less than there is, as much as can be, nothing."""
    path = write_noise(tmp_path / "a.wav", 3.0)
    path.write_bytes(path.read_bytes()[:40] + struct.pack("<I", told) + path.read_bytes()[44:])
    assert listen(path, model, tmp_path) == (3.0, None, 75)


@pytest.mark.parametrize("before_s", [3.0, 12.0])
def test_a_file_that_grows_is_heard_up_to_where_it_was(model: Path, tmp_path: Path, before_s: float) -> None:
    ((recording,), _) = find_recordings([write_noise(tmp_path / "a.wav", before_s)])
    write_noise(tmp_path / "a.wav", 25.0)
    found = detect_one(recording, open_detector(model), Task(OPTIONS, tmp_path, has_scores=True))
    assert found.error is None
    assert max(event.offset_s for event in found.events) <= before_s
    assert found.scores is not None
    np.testing.assert_array_equal(np.load(tmp_path / "a.npz")["scores"], found.scores.scores)
    assert len(found.scores.scores) == 25 * before_s


@pytest.mark.parametrize("after_s", [0.5, 3.0, 24.9])
def test_a_file_that_becomes_shorter_is_named(model: Path, tmp_path: Path, after_s: float) -> None:
    ((recording,), _) = find_recordings([write_noise(tmp_path / "a.wav", 25.0)])
    write_noise(tmp_path / "a.wav", after_s)
    found = detect_one(recording, open_detector(model), Task(OPTIONS, tmp_path))
    assert (found.events, found.error) == (
        [],
        f"{tmp_path}/a.wav: became shorter while it was read: {after_s:g} s of 25 s are there",
    )
    assert not (tmp_path / "a.npz").exists()


def processes_of(group: int) -> list[str]:
    """Commands of a process group that are still running."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, own_group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(own_group) == group and state != "Z":
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:  # it has ended
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="tells by /proc which processes are left")
def test_ctrl_c_leaves_no_process_and_keeps_what_is_finished(model: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_noise(tmp_path / "in" / "a.wav", 1.0)
    for name in ("b.flac", "c.flac", "d.flac"):
        soundfile.write(
            tmp_path / "in" / name, np.zeros(3600 * 1000), 1000
        )  # an hour: nobody has heard it before Ctrl-C
    typed = [
        "detect",
        "in",
        "--model",
        str(model),
        "--jobs",
        "2",
        "--format",
        "audacity",
        "--threshold",
        "0.05",
        "--output",
        "out",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "efficient_sed", *typed],
        cwd=tmp_path,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "out" / "a.txt").is_file() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=30)
        deadline = time.monotonic() + 20
        while (left := processes_of(process.pid)) and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert left == []
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("efficient-sed: interrupted")  # on a slow machine progress comes before
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".detect-audacity.json", "a.txt"]
    assert (tmp_path / "out" / "a.txt").read_text().count("\t") >= 2


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
