"""Teachers with other front ends than the student's, clips longer than they take, and unlabelled recordings."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import efficient_sed as es
from efficient_sed.audio.frontends.asit import AsitMel
from efficient_sed.audio.frontends.mel import LogMel
from efficient_sed.audio.frontends.passt import PasstMel
from efficient_sed.audio.io import find_audio
from efficient_sed.cli.main import main
from efficient_sed.config.augmentation import AugmentConfig
from efficient_sed.config.run import RunConfig
from efficient_sed.config.training import TrainConfig
from efficient_sed.data.dataset import Batch
from efficient_sed.data.events import Splits
from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.errors import ConfigError, DataError
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS
from efficient_sed.teachers import model as teacher_models
from efficient_sed.teachers.model import ModelTeacher, _Member, is_alike
from efficient_sed.teachers.write import _devices
from efficient_sed.training.module import SedModule

pytestmark = pytest.mark.slow
CLASSES = ["dog", "siren"]


def member(frontend: torch.nn.Module, seed: int = 0, classes: list[str] = CLASSES) -> _Member:
    torch.manual_seed(seed)
    model = es.create_model("fmn04", classes=classes).eval()
    torch.nn.init.normal_(model.classifier.strong.weight)
    model.frontend = frontend
    return _Member(model, None, f"teacher{seed}")


def test_members_hear_through_their_own_front_ends() -> None:
    members = [member(LogMel()), member(AsitMel(), 1), member(LogMel(), 2), member(PasstMel(), 3)]
    teacher, waveform = ModelTeacher(members), 0.1 * torch.randn(2, 16_000)
    assert [type(frontend) for frontend in teacher.frontends] == [LogMel, AsitMel, PasstMel]
    with torch.no_grad():
        expected = torch.stack([model(model.frontend(waveform)).frame_logits for model, _, _ in members]).mean(0)
    given = teacher.frame_logits(["a", "b"], [0, 0], waveform)
    torch.testing.assert_close(torch.stack([each for each in given if each is not None]), expected)


def test_front_ends_that_are_alike() -> None:
    assert is_alike(LogMel(), LogMel())
    assert not is_alike(LogMel(), PasstMel())
    other = LogMel()
    other.bank *= 2
    assert not is_alike(LogMel(), other)


def test_online_a_student_learns_from_teachers_of_both_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the loss compares with is the mean of a teacher that hears as the student, and of one that does not."""
    members = {"own": member(LogMel()), "other": member(AsitMel(), 1)}
    monkeypatch.setattr(teacher_models, "_load_member", lambda name, *_: members[name])
    train = TrainConfig(
        teacher=("other", "own"),
        distillation_weight=1.0,
        augment=AugmentConfig(wave_mix_probability=0, mixup_probability=0, time_roll_sigma=0, mel_jitter=False),
    )
    config = RunConfig(BACKBONES.get("fmn04")(), SEQUENCE_HEADS.get("none")(), SyntheticConfig(), train)
    student = es.create_model("fmn04", classes=CLASSES)
    module, waveform = SedModule(student, config), 0.1 * torch.randn(3, 16_000)
    nothing = torch.zeros(3, 2, 25)
    augmented = module._augmented(Batch.of_strong(waveform, nothing, nothing), np.random.default_rng(0))
    assert len(augmented.teacher_mels) == 1
    output = student.eval()(augmented.mel)
    with torch.no_grad():
        taught = (
            torch.stack([model(model.frontend(waveform)).frame_logits for model, _, _ in members.values()])
            .mean(0)
            .sigmoid()
        )
    expected = torch.nn.functional.binary_cross_entropy_with_logits(output.frame_logits, taught)
    torch.testing.assert_close(module._losses(augmented, output)["loss"], expected)


def test_a_clip_layer_that_is_not_asked_changes_no_fingerprint() -> None:
    """In released files of transformers it may be missing, and is then random."""
    first, second = member(LogMel()), member(LogMel())
    assert first.model.classifier.weak is not None
    torch.nn.init.normal_(first.model.classifier.weak.weight)
    assert ModelTeacher([first]).fingerprint == ModelTeacher([second]).fingerprint
    torch.nn.init.normal_(first.model.classifier.strong.weight)
    assert ModelTeacher([first]).fingerprint != ModelTeacher([second]).fingerprint


def test_teachers_on_several_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _devices(3, "auto") == [torch.device("cpu")] * 3
    with pytest.raises(ConfigError, match=r"^train\.accelerator=gpu is not allowed: this machine has no GPU"):
        _devices(3, "gpu")
    with monkeypatch.context() as patch:
        patch.setattr(torch.backends.mps, "is_available", lambda: True)
        assert _devices(3, "gpu") == [torch.device("mps")] * 3
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert _devices(3, "auto") == [torch.device("cuda", index) for index in (0, 1, 0)]
    assert _devices(3, "cpu") == [torch.device("cpu")] * 3


def test_clips_longer_than_a_teacher_hears(monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = ModelTeacher([member(LogMel())])
    teacher.check_clips(60.0)
    monkeypatch.setattr(teacher.members[0].model.backbone, "max_frames", 1000)
    teacher.check_clips(10.0)
    with pytest.raises(
        ConfigError,
        match=r"teacher teacher0: takes at most 10 s at once, data\.clip_seconds=12; give data\.clip_seconds=10",
    ):
        teacher.check_clips(12.0)


def test_weights_of_a_backbone_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(
            [
                "pseudo-label",
                "--teacher",
                "beats_ssl",
                str(tmp_path / "o.h5"),
                "data=synthetic",
                f"data.root={tmp_path}",
                "data.num_train=1",
            ]
        )
        == 2
    )
    assert (
        "teacher beats_ssl: weights of a backbone alone, which know no class; choose a detector, such as beats_strong"
        in capsys.readouterr().err
    )


@pytest.fixture
def recordings(tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path) -> list[str]:
    """The synthetic scenes as own recordings: those for training have no annotations."""
    (folder,) = (path for path in Path(tiny_config.root).iterdir() if path.is_dir())
    copy = tmp_path / "own"
    copy.mkdir()
    (copy / "audio").symlink_to(folder / "audio")
    for part in ("validation", "test"):
        (copy / f"{part}.tsv").write_text((folder / f"{part}.tsv").read_text(encoding="utf-8"), encoding="utf-8")
    classes = ",".join(tiny_data.classes)
    return [
        "data=folder",
        f"data.root={copy}",
        "data.train=null",
        f"data.classes=[{classes}]",
        "data.clip_seconds=3",
        "data.num_workers=0",
        "train.accelerator=cpu",
    ]


def test_recordings_without_labels(
    recordings: list[str], tiny_data: Splits, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "teacher.h5"
    assert main(["pseudo-label", "--teacher", "fmn04+tf-128_synthetic", str(labels), *recordings]) == 0
    assert "logits of 8 clips; left out: 0" in capsys.readouterr().out
    with h5py.File(labels) as file:
        names = [name.decode() for name in file["filenames"]]
    assert sorted(names) == sorted(clip.id for clip in tiny_data.train)
    train = [
        "train",
        "backbone=fmn04",
        "seq=none",
        *recordings,
        "train.epochs=1",
        "train.batch_size=4",
        f"output_dir={tmp_path / 'runs'}",
        "benchmark.repeats=3",
        "benchmark.batches=[1]",
        "--quiet",
    ]
    assert main([*train, f"data.pseudo_labels={labels}"]) == 2
    assert "data.train=null is not allowed here: only with a teacher as the only target" in capsys.readouterr().err
    assert main([*train, f"data.pseudo_labels={labels}", "train.distillation_weight=1"]) == 0


def test_clips_that_the_teacher_does_not_know_teach_nothing(
    recordings: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from efficient_sed.data.datamodule import SedDataModule
    from efficient_sed.experiment.compose import compose_run

    labels = tmp_path / "teacher.h5"
    assert main(["pseudo-label", "--teacher", "fmn04+tf-128_synthetic", str(labels), *recordings]) == 0
    with h5py.File(labels, "r+") as file:
        names = file["filenames"][:]
        names[0] = b"gone.flac"
        file["filenames"][:] = names
    config = compose_run(
        [*recordings, "backbone=fmn04", "seq=none", f"data.pseudo_labels={labels}", "train.distillation_weight=1"]
    )
    splits = config.data.load()
    assert len(splits.train) == 8
    assert len(SedDataModule(config, splits, es.create_model("fmn04", num_classes=1).grid).splits.train) == 7
    assert "1 of 8 training clips are left out: the teacher lacks them" in caplog.text


def test_the_classes_of_audioset_by_name(recordings: list[str]) -> None:
    from efficient_sed.experiment.compose import compose_run

    words = [word for word in recordings if not word.startswith("data.classes")]
    data = compose_run([*words, "data.classes=audioset_strong", "data.validation=null", "data.test=null"]).data
    splits = data.load()
    assert (len(splits.classes), len(splits.train), splits.validation, splits.test) == (447, 16, (), ())
    assert len(replace(data, classes=("audioset_weak",)).load().classes) == 527  # type: ignore[call-arg]
    audio = Path(data.root) / "audio"  # type: ignore[attr-defined]
    assert {clip.id for clip in splits.train} == {path.relative_to(audio).as_posix() for path in find_audio(audio)}


def test_folders_that_cannot_be_read(recordings: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from efficient_sed.experiment.compose import compose_run

    data = compose_run([*recordings, "data.validation=null", "data.test=null"]).data
    audio, scandir = Path(data.root) / "audio", os.scandir  # type: ignore[attr-defined]

    def denied(path: Path) -> object:
        if Path(path).parent == audio and Path(path).name == "train":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    message = f"{audio}/train: cannot be read (Permission denied)"
    with pytest.raises(DataError, match=f"^{re.escape(message)}"):
        data.load()
    splits = replace(data, on_error="skip").load()
    assert splits.skipped == (message,)
    assert 0 < len(splits.train) < 16


def test_too_little_memory(
    recordings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was done is kept, and the same command goes on with it."""
    done = []

    def listen(_: ModelTeacher, clip_ids: list[str], *_others: object) -> list[torch.Tensor]:
        if len(done) == 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        done.append(clip_ids)
        return [torch.zeros(16, 75)]

    command = [
        "pseudo-label",
        "--teacher",
        "fmn04+tf-128_synthetic",
        str(tmp_path / "o.h5"),
        *recordings,
        "train.batch_size=8",
    ]
    with monkeypatch.context() as patch:
        patch.setattr(ModelTeacher, "frame_logits", listen)
        assert main(command) == 2
    assert (
        "out of memory with 1 teacher and train.batch_size=8; what is done is kept; try train.batch_size=4"
        in capsys.readouterr().err
    )
    assert main(command) == 0
    assert "logits of 8 clips" in capsys.readouterr().out


def test_a_batch_of_which_nothing_can_be_decoded(
    recordings: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audio = next(Path(word.split("=")[1]) for word in recordings if word.startswith("data.root")) / "audio"
    (copied := tmp_path / "copied").mkdir()
    for index, path in enumerate(find_audio(audio)[:3]):
        content = path.read_bytes()
        (copied / path.name).write_bytes(content[:2000] + b"\0" * 4000 if index == 0 else content)
    words = [
        *(word for word in recordings if not word.startswith(("data.root",))),
        f"data.root={tmp_path}",
        "data.audio=copied",
        "data.validation=null",
        "data.test=null",
    ]
    assert (
        main(
            [
                "pseudo-label",
                "--teacher",
                "fmn04+tf-128_synthetic",
                str(tmp_path / "o.h5"),
                *words,
                "train.batch_size=1",
            ]
        )
        == 0
    )
    assert "logits of 2 clips; left out: 1" in capsys.readouterr().out


def test_labels_that_are_not_there_are_not_packed(
    recordings: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "pack", *recordings[:4], str(tmp_path / "p.h5")]) == 2
    assert "a packed file holds labels, and data.train=null has none" in capsys.readouterr().err


def test_a_teacher_that_ends_before_the_clips_do(recordings: list[str], tmp_path: Path) -> None:
    """What is not there would be taught as silence."""
    from efficient_sed.data.datamodule import SedDataModule
    from efficient_sed.experiment.compose import compose_run

    config = compose_run(
        [
            *recordings,
            "backbone=fmn04",
            "seq=none",
            f"data.pseudo_labels={tmp_path / 't.h5'}",
            "train.distillation_weight=1",
        ]
    )
    splits = config.data.load()
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["filenames"] = np.array([clip.id.encode() for clip in splits.train])
        file["classes"] = np.array([label.encode() for label in splits.classes])
        file["strong_logits"] = np.zeros((8, len(splits.classes), 50), np.float16)
        file.attrs["frame_hop_s"] = 0.04
    with pytest.raises(DataError, match=r"t\.h5: ends 2 s into a clip, and .* has 3 s; write it anew for these clips"):
        SedDataModule(config, splits, es.create_model("fmn04", num_classes=1).grid)
