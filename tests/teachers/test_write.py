"""`efficient-sed pseudo-label`: what it writes is what the teacher says, whenever it was interrupted."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from damage import spoiled_flac

import efficient_sed as es
from efficient_sed.audio.io import read_audio
from efficient_sed.cli.main import main
from efficient_sed.data.events import Splits
from efficient_sed.data.pseudo_labels import BEYOND, PseudoLabels
from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.errors import DataError
from efficient_sed.models.sed import SedModel
from efficient_sed.teachers._journal import open_journal


@pytest.fixture(scope="module")
def teachers(tiny_data: Splits, tmp_path_factory: pytest.TempPathFactory) -> dict[str, SedModel]:
    """Two models by file, the second with its classes reversed and one more."""
    folder = tmp_path_factory.mktemp("teachers")
    models = {}
    for seed, classes in enumerate((tiny_data.classes, ("more", *tiny_data.classes[::-1]))):
        torch.manual_seed(seed)
        model = es.create_model("fmn04", classes=list(classes)).eval()
        torch.nn.init.normal_(model.classifier.strong.weight)
        es.save_model(model, folder / f"{seed}.safetensors")
        models[str(folder / f"{seed}.safetensors")] = model
    return models


def data_words(config: SyntheticConfig, clip_seconds: int = 3) -> list[str]:
    counts = [f"data.{key}={getattr(config, key)}" for key in ("num_train", "num_validation", "num_test")]
    return [
        "data=synthetic",
        f"data.root={config.root}",
        *counts,
        "data.scene_seconds=3",
        f"data.clip_seconds={clip_seconds}",
        "data.num_workers=0",
        "train.accelerator=cpu",
    ]


Write = Callable[..., int]


@pytest.fixture
def write(tiny_config: SyntheticConfig) -> Write:
    def run(teacher: str, output: Path, *words: str, part: str = "train", clip_seconds: int = 3) -> int:
        return main(
            [
                "pseudo-label",
                "--teacher",
                teacher,
                "--part",
                part,
                str(output),
                *data_words(tiny_config, clip_seconds),
                *words,
            ]
        )

    return run


def scored(model: SedModel, path: str) -> np.ndarray:
    with torch.no_grad():
        logits: np.ndarray = model(model.frontend(torch.from_numpy(read_audio(path))[None])).frame_logits[0].numpy()
    return logits


def test_round_trip(
    teachers: dict[str, SedModel], tiny_data: Splits, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new" / "t.h5"
    names = list(teachers)
    assert write(",".join(names), output) == 0
    assert capsys.readouterr().out == f"{output}: logits of 8 clips; left out: 0\n"
    assert sorted(path.name for path in output.parent.iterdir()) == ["t.h5"]
    labels = PseudoLabels(output, tiny_data.classes, clip_seconds=3)
    plain, reverse = teachers.values()
    for clip in tiny_data.train:
        expected = (scored(plain, str(clip.audio)) + scored(reverse, str(clip.audio))[:0:-1]) / 2
        np.testing.assert_allclose(labels.read(clip.id, 0, 75), expected, rtol=1e-3, atol=1e-3)
    with h5py.File(output) as file:  # as the published code reads it
        rows = {name.decode("UTF-8"): row for row, name in enumerate(file["filenames"])}
        assert rows.keys() == {clip.id for clip in tiny_data.train}
        stored = np.stack(file["strong_logits"][rows[tiny_data.train[3].id]])
        assert (stored.dtype, stored.shape, file["filenames"].dtype.kind) == (np.float16, (16, 75), "S")
        assert file["classes"].asstr()[:].tolist() == list(tiny_data.classes)
        assert list(file.attrs["teachers"]) == names
        assert (file.attrs["frame_hop_s"], file.attrs["part"], file.attrs["manifest_hash"]) == (
            0.04,
            "train",
            tiny_data.manifest_hash,
        )
        assert len(set(file.attrs["teacher_hashes"])) == 2
        assert "torch" in json.loads(file.attrs["versions"])["versions"]
    some = PseudoLabels(output, tiny_data.classes[5:2:-1])  # a subset, in another order
    np.testing.assert_array_equal(
        some.read(tiny_data.train[0].id, 0, 75), labels.read(tiny_data.train[0].id, 0, 75)[5:2:-1]
    )
    before = output.stat().st_mtime_ns
    assert write(",".join(names), output) == 0
    assert output.stat().st_mtime_ns == before


def test_a_stored_teacher_in_an_ensemble(
    teachers: dict[str, SedModel], tiny_data: Splits, write: Write, tmp_path: Path
) -> None:
    first, second = teachers
    for name, file in ((first, "a.h5"), (f"{tmp_path / 'a.h5'},{second}", "b.h5"), (f"{first},{second}", "c.h5")):
        assert write(name, tmp_path / file) == 0
    mixed, direct = (
        PseudoLabels(tmp_path / file, tiny_data.classes).read(tiny_data.train[1].id, 0, 75) for file in ("b.h5", "c.h5")
    )
    np.testing.assert_allclose(mixed, direct, rtol=2e-3, atol=2e-3)


def test_long_clips_are_scored_in_windows(
    tiny_data: Splits, teachers: dict[str, SedModel], write: Write, tmp_path: Path
) -> None:
    assert write(next(iter(teachers)), tmp_path / "t.h5", clip_seconds=2) == 0
    labels = PseudoLabels(tmp_path / "t.h5", tiny_data.classes, clip_seconds=2)
    assert labels.num_frames == 75
    clip, model = tiny_data.train[0], next(iter(teachers.values()))
    with torch.no_grad():
        start = model(model.frontend(clip.audio.read(0.0, 2)[None])).frame_logits[0].numpy()
        end = (
            model(model.frontend(torch.nn.functional.pad(clip.audio.read(2.0, 2), (0, 16_000))[None]))
            .frame_logits[0]
            .numpy()
        )
    np.testing.assert_allclose(labels.read(clip.id, 0, 50), start, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(labels.read(clip.id, 50, 50), end[:, :25], rtol=1e-3, atol=1e-3)


def test_clips_of_many_lengths(
    teachers: dict[str, SedModel], tmp_path: Path, tiny_data: Splits, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows are as long as the longest clip and take no space where there is no sound.

    What cannot be read is left out.
    """
    import soundfile

    rng = np.random.default_rng(0)
    (tmp_path / "audio").mkdir()
    for name, duration_s in (("short.wav", 1.3), ("exact.wav", 2.0), ("long.wav", 21.0)):
        soundfile.write(tmp_path / "audio" / name, rng.normal(size=int(16_000 * duration_s)) * 0.1, 16_000)
    (tmp_path / "audio" / "noise.wav").write_text("no audio")
    (tmp_path / "audio" / "cut.flac").write_bytes(spoiled_flac(4.0))
    rows = {
        "train": ["short.wav", "exact.wav", "noise.wav", "long.wav", "cut.flac"],
        "validation": ["v.wav"],
        "test": ["w.wav"],
    }
    for name in ("v.wav", "w.wav"):
        shutil.copy(tmp_path / "audio" / "exact.wav", tmp_path / "audio" / name)
    for part, names in rows.items():
        lines = [f"{name}\t0.1\t0.5\t{tiny_data.classes[0]}" for name in names]
        (tmp_path / f"{part}.tsv").write_text("\n".join(["filename\tonset\toffset\tevent_label", *lines]) + "\n")
    words = [
        "data=folder",
        f"data.root={tmp_path}",
        "data.clip_seconds=2",
        "data.num_workers=0",
        "train.accelerator=cpu",
    ]
    output = tmp_path / "t.h5"
    assert main(["pseudo-label", "--teacher", next(iter(teachers)), str(output), *words]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{output}: logits of 3 clips; left out: 2\n"
    labels = PseudoLabels(output, (tiny_data.classes[0],), clip_seconds=2)
    assert labels.num_frames == 525
    short, exact, long = (labels.read(name, 0, 525)[0] for name in ("short.wav", "exact.wav", "long.wav"))
    assert [(row != BEYOND).sum() for row in (short, exact, long)] == [
        50,
        50,
        525,
    ]  # the padding of a short clip was scored too
    with h5py.File(output) as file:
        assert file["strong_logits"].id.get_num_chunks() == 1 + 1 + 11
        assert file.attrs["num_left_out"] == 2


KILLED = """
import os, signal, sys
from efficient_sed.cli.main import main
from efficient_sed.teachers import _journal, write
append, count = _journal.Journal.append, 0
def die(self, clip_id, logits):
    global count
    if count == {after}:
        {torn}
        os.kill(os.getpid(), signal.SIGKILL)
    count += 1
    append(self, clip_id, logits)
_journal.Journal.append = die
if {after} < 0:
    write._assemble = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
main({arguments})
"""
TORN = "self._file.write(_journal._RECORD.pack(b'clip', 3, 75, 0) + b'abc' + bytes(500)); self._file.flush()"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("after", "torn"),
    [pytest.param(3, "pass", marks=pytest.mark.long), (5, TORN), pytest.param(-1, "pass", marks=pytest.mark.long)],
    ids=["between", "within", "at the end"],
)
def test_killed_and_started_again(
    teachers: dict[str, SedModel],
    tiny_config: SyntheticConfig,
    write: Write,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    after: int,
    torn: str,
) -> None:
    name, output = next(iter(teachers)), tmp_path / "t.h5"
    arguments = ["pseudo-label", "--teacher", name, str(output), *data_words(tiny_config)]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED.format(after=after, torn=torn, arguments=arguments)],
        capture_output=True,
        check=False,
        env={**os.environ},
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == ["t.h5.part"]
    with caplog.at_level("INFO"):
        assert write(name, output) == 0
    assert f"going on with {output}.part: {after % 9} of 8 clips are there" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["t.h5"]
    assert write(name, tmp_path / "whole.h5") == 0
    with h5py.File(output) as file, h5py.File(tmp_path / "whole.h5") as whole:
        for key in ("filenames", "strong_logits", "classes"):
            np.testing.assert_array_equal(file[key][:], whole[key][:])


@pytest.mark.parametrize("is_finished", [False, True])
def test_what_was_begun_otherwise_is_refused(
    teachers: dict[str, SedModel],
    write: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    is_finished: bool,
) -> None:
    first, second = teachers
    output = tmp_path / "t.h5"
    if not is_finished:
        monkeypatch.setattr(
            "efficient_sed.teachers.write._assemble",
            lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")),
        )
    assert write(first, output) == (0 if is_finished else 2)
    if not is_finished:
        error = capsys.readouterr().err
        assert error.endswith(
            f"efficient-sed: {output}: cannot be written (No space left on device); "
            "give what it lacks and type the same command to go on\n"
        )
    place = output if is_finished else f"{output}.part"
    for words, key in (
        ((second, {}), "teachers"),
        ((first, {"part": "test"}), "part"),
        ((first, {"clip_seconds": 2}), "clip_seconds"),
    ):
        capsys.readouterr()
        assert write(words[0], output, **words[1]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"efficient-sed: {place}: was begun with {key}=")
        assert error.count("\n") == 1


def test_a_disk_too_full_for_hdf5_keeps_what_was_scored(
    teachers: dict[str, SedModel],
    write: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO)
    teacher, output = next(iter(teachers)), tmp_path / "t.h5"
    with monkeypatch.context() as patch:
        patch.setattr("efficient_sed.files.folders.shutil.disk_usage", lambda _: SimpleNamespace(free=30_000))
        assert write(teacher, output) == 2
    assert (
        f"GB, {tmp_path} has 3e-05 GB free); give what it lacks and type the same command to go on"
        in capsys.readouterr().err
    )
    assert not output.exists()
    assert write(teacher, output) == 0
    assert any("8 of 8 clips are there" in message for message in caplog.messages)


def test_bad_input(
    teachers: dict[str, SedModel], tiny_data: Splits, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    es.save_model(es.create_model("fmn04", classes=["more", tiny_data.classes[0]]), tmp_path / "few.safetensors")
    (tmp_path / "other.h5").write_text("other")
    (tmp_path / "o.h5.part").write_text("other\n")
    broken = es.create_model("fmn04", classes=list(tiny_data.classes))
    torch.nn.init.constant_(broken.classifier.strong.bias, 1e5)
    es.save_model(broken, tmp_path / "large.safetensors")
    good = next(iter(teachers))
    for teacher, output, message in (
        ("fmn04+tf-1", "t.h5", "fmn04+tf-1"),
        (f"{good},", "t.h5", "''"),
        (
            f"{tmp_path}/few.safetensors",
            "t.h5",
            f"teacher {tmp_path}/few.safetensors: its 2 classes lack 15 of the data set's 16, "
            f"first '{tiny_data.classes[1]}'",
        ),
        (f"{tmp_path}/none.h5", "t.h5", "none.h5: no such file"),
        (f"{tmp_path}/other.h5", "t.h5", "other.h5: not a file of pseudo-labels"),
        (
            f"{tmp_path}/large.safetensors",
            "large.h5",
            f"teachers' logits of clip '{tiny_data.train[0].id}', in float16: a score of class",
        ),
        (good, "other.h5", "other.h5: exists and is not a file of pseudo-labels; delete it or give another name"),
        (good, "o.h5", "o.h5.part: not written by this command; delete it or give another name"),
        (good, "other.h5/t.h5", "other.h5/t.h5: cannot be written"),
    ):
        assert write(teacher, tmp_path / output) == 2, teacher
        error = capsys.readouterr().err
        assert message in error
        assert error.splitlines()[-1].startswith("efficient-sed: ")


def test_two_processes_do_not_share_a_file(tmp_path: Path) -> None:
    header = {"classes": ["a"]}
    with open_journal(tmp_path / "t.part", header) as journal:
        journal.append("x", np.zeros((1, 3), np.float16))
        with (
            pytest.raises(DataError, match=r"t\.part: another process is writing it; wait for it or stop it$"),
            open_journal(tmp_path / "t.part", header),
        ):
            pass


def test_on_the_grid_of_the_student_s_backbone(
    tiny_data: Splits, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """100 frames a second at 44.1 kHz for dnd-sed.

    A teacher of the fmn family is none for it, nor the other way round.
    """
    model = es.create_model("crnn_dws", classes=list(tiny_data.classes)).eval()
    teacher, other = str(tmp_path / "dws.safetensors"), str(tmp_path / "fmn.safetensors")
    es.save_model(model, teacher)
    es.save_model(es.create_model("fmn04", classes=list(tiny_data.classes)), other)
    student = ("model=dnd-dws", "train.augment.mel_jitter=false")
    assert write(teacher, tmp_path / "t.h5", *student, part="test") == 0
    labels = PseudoLabels(tmp_path / "t.h5", tiny_data.classes, model.grid, clip_seconds=3)
    clip = tiny_data.test[0]
    with torch.no_grad():
        expected = model(model.frontend(clip.audio.read(sample_rate=44_100)[None])).frame_logits[0].numpy()
    np.testing.assert_allclose(labels.read(clip.id, 0, 300), expected, rtol=2e-3, atol=2e-3)
    capsys.readouterr()
    refusals = (
        (other, student, "its frames last 0.04 s at 16000 Hz, the student's 0.01 s at 44100 Hz"),
        (teacher, (), "its frames last 0.01 s at 44100 Hz, the student's 0.04 s at 16000 Hz"),
    )
    for name, words, message in refusals:
        assert write(name, tmp_path / "u.h5", *words) == 2
        assert message in capsys.readouterr().err
