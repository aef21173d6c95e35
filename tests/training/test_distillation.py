"""Teachers in training: stored, online and clip-level ones reach the loss, and nothing of them stays in the student."""

from __future__ import annotations

import csv
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import efficient_sed as es
from efficient_sed.config.augmentation import AugmentConfig
from efficient_sed.config.run import RunConfig
from efficient_sed.config.training import TrainConfig
from efficient_sed.data.events import KINDS, Kind, Splits
from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.errors import ConfigError, DataError
from efficient_sed.experiment.compose import compose_run
from efficient_sed.models.sed import SedModel
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS
from efficient_sed.teachers.write import write_pseudo_labels
from efficient_sed.training.augmentation import Augmented
from efficient_sed.training.draws import KindRows
from efficient_sed.training.losses import detection_loss
from efficient_sed.training.module import SedModule
from efficient_sed.training.optim import build_optimizer
from efficient_sed.training.train import build_model, fit

NO_AUGMENT = AugmentConfig(wave_mix_probability=0.0, mixup_probability=0.0, time_roll_sigma=0.0, mel_jitter=False)


@pytest.fixture(scope="module")
def teacher(tiny_data: Splits, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of a random model with the data set's classes in another order, one more, and certain opinions."""
    torch.manual_seed(1)
    model = es.create_model("fmn04", classes=["more", *tiny_data.classes[::-1]])
    torch.nn.init.normal_(model.classifier.strong.weight)
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    es.save_model(model, path)
    return str(path)


def make_config(data: SyntheticConfig, task: Any = "detection", **train: Any) -> RunConfig:
    options = {"epochs": 1, "batch_size": 4, "accelerator": "cpu", "augment": NO_AUGMENT} | train
    return RunConfig(BACKBONES.get("fmn04")(), SEQUENCE_HEADS.get("none")(), data, TrainConfig(**options), task=task)


def read_losses(folder: Path) -> dict[str, float]:
    """Means of the last epoch."""
    with (folder / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["train/loss_epoch"]]
    return {
        key.removeprefix("train/").removesuffix("_epoch"): float(value)
        for key, value in rows[-1].items()
        if key.startswith("train/") and key.endswith("_epoch")
    }


Train = Callable[..., tuple[SedModel, dict[str, Any], dict[str, float]]]


@pytest.fixture
def train(tiny_data: Splits, tmp_path: Path) -> Train:
    def run(config: RunConfig, name: str) -> tuple[SedModel, dict[str, Any], dict[str, float]]:
        model, facts = fit(config, tiny_data, tmp_path / name, show_progress=False)
        return model, facts, read_losses(tmp_path / name)

    return run


def test_online_equals_stored(train: Train, tiny_config: SyntheticConfig, teacher: str, tmp_path: Path) -> None:
    config = make_config(tiny_config)
    write_pseudo_labels([teacher], tmp_path / "t.h5", config, "train", show_progress=False)
    _, stored_facts, stored = train(
        replace(config, data=replace(tiny_config, pseudo_labels=str(tmp_path / "t.h5"))), "stored"
    )
    _, online_facts, online = train(make_config(tiny_config, teacher=(teacher,)), "online")
    assert online.keys() == stored.keys() == {"loss", "loss_supervised", "loss_distillation"}
    assert online == pytest.approx(stored, abs=1e-3)
    assert abs(online["loss_distillation"] - online["loss_supervised"]) > 0.01
    assert online["loss"] == pytest.approx(
        0.1 * online["loss_supervised"] + 0.9 * online["loss_distillation"], abs=1e-5
    )
    assert stored_facts["num_with_teacher"] == online_facts["num_with_teacher"] == 8
    assert stored_facts["teacher"] is None
    assert len(online_facts["teacher"]) == 16


def test_the_teacher_leaves_no_trace(
    train: Train, tiny_config: SyntheticConfig, tiny_data: Splits, teacher: str, tmp_path: Path
) -> None:
    config = make_config(tiny_config, teacher=(teacher,))
    model = build_model(config, tiny_data.classes)
    module = SedModule(model, config)
    alone = sum(parameter.numel() for parameter in model.parameters())
    assert sum(parameter.numel() for parameter in module.parameters()) == alone
    optimizer, _ = build_optimizer(model, config.train, 10)
    assert sum(parameter.numel() for group in optimizer.param_groups for parameter in group["params"]) == alone
    assert module.teacher is not None
    (member,) = module.teacher.members
    assert not any(parameter.requires_grad for parameter in member.model.parameters())
    before = {key: value.clone() for key, value in member.model.state_dict().items()}
    module.train()
    output = module.teacher([torch.randn(2, 1, 128, 100, requires_grad=True)])
    assert not member.model.training
    assert not output.frame_logits.requires_grad
    assert not output.frame_logits.is_inference()  # the loss keeps it for the backward pass
    assert all(torch.equal(value, before[key]) for key, value in member.model.state_dict().items())
    train(config, "run")
    keys = set(torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["state_dict"])
    assert keys == {f"model.{key}" for key in model.state_dict()}


def test_the_teacher_hears_what_the_student_hears(
    tiny_config: SyntheticConfig, tiny_data: Splits, teacher: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = make_config(tiny_config, teacher=(teacher,), augment=AugmentConfig(mixup_probability=1.0))
    heard: list[tuple[str, torch.Tensor]] = []
    forward = SedModel.forward

    def listen(self: SedModel, mel: torch.Tensor) -> Any:
        if self.training or torch.is_grad_enabled() is False:
            heard.append(("student" if self.training else "teacher", mel.detach().clone()))
        return forward(self, mel)

    monkeypatch.setattr(SedModel, "forward", listen)
    fit(config, replace(tiny_data, train=tiny_data.train[:4]), tmp_path / "run", show_progress=False)
    assert [who for who, _ in heard[:2]] == ["student", "teacher"]
    assert torch.equal(heard[0][1], heard[1][1])


def test_resume_with_an_online_teacher(
    train: Train, tiny_config: SyntheticConfig, teacher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(tiny_config, teacher=(teacher,), epochs=2, augment=AugmentConfig())
    whole, _, losses = train(config, "whole")
    step = SedModule.training_step

    def die(self: SedModule, batch: Any, index: int) -> Any:
        if (self.current_epoch, index) == (1, 1):
            raise InterruptedError("killed")
        return step(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(SedModule, "training_step", die)
        with pytest.raises(InterruptedError):
            train(config, "resumed")
    resumed, _, resumed_losses = train(config, "resumed")
    assert resumed_losses == pytest.approx(losses, abs=1e-5)
    for key, value in resumed.state_dict().items():
        torch.testing.assert_close(value, whole.state_dict()[key], rtol=0, atol=1e-5)


def write_clip_teacher(folder: Path, splits: Splits, num_clips: int) -> dict[str, str]:
    logits = np.random.default_rng(0).normal(scale=3, size=(num_clips, len(splits.classes))).astype(np.float32)
    np.save(folder / "t.npy", logits)
    (folder / "t.pkl").write_bytes(pickle.dumps({clip.id: row for row, clip in enumerate(splits.train[:num_clips])}))
    return {"clip_teacher": str(folder / "t.npy"), "clip_teacher_index": str(folder / "t.pkl")}


@pytest.mark.parametrize("num_clips", [8, 5])
def test_clip_level_teacher(
    train: Train, tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path, num_clips: int
) -> None:
    data = replace(tiny_config, **write_clip_teacher(tmp_path, tiny_data, num_clips))
    _, facts, losses = train(make_config(data, "tagging", distillation_weight=0.75), "taught")
    assert facts["num_with_teacher"] == num_clips
    assert abs(losses["loss_distillation"] - losses["loss_supervised"]) > 0.005
    assert losses["loss"] == pytest.approx(
        0.25 * losses["loss_supervised"] + 0.75 * losses["loss_distillation"], abs=1e-5
    )
    _, _, alone = train(make_config(tiny_config, "tagging"), "alone")
    assert alone["loss"] == pytest.approx(alone["loss_supervised"], abs=1e-6) == alone["loss_distillation"]


@pytest.mark.parametrize("kind", ["strong", "weak"])
def test_clip_level_loss_by_hand(kind: Kind, tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path) -> None:
    """A clip without a teacher is trained on its labels alone."""
    from efficient_sed.data.datamodule import SedDataModule

    config = make_config(replace(tiny_config, **write_clip_teacher(tmp_path, tiny_data, 2)), "tagging")
    model = build_model(config, tiny_data.classes)
    module, data = SedModule(model, config), SedDataModule(config, tiny_data, model.grid)
    items = [data.training[0, index] for index in range(4)]
    targets, taught = (torch.stack([item[index] for item in items]) for index in (1, 2))  # type: ignore[misc]
    mel = model.frontend(torch.stack([item[0] for item in items]))  # type: ignore[misc]
    output = model.eval()(mel)
    rows = KindRows.of(torch.full((4,), KINDS.index(kind)), torch.tensor([True, True, False, False]))
    losses = module._losses(Augmented(mel, targets, taught, [], mel, rows, None), output)
    logits = torch.from_numpy(np.load(tmp_path / "t.npy"))
    expected = torch.cat([logits.sigmoid(), targets.amax(-1)[2:]])
    torch.testing.assert_close(
        losses["loss"], detection_loss(output.clip_logits, targets.amax(-1), expected, 0.9)["loss"]
    )


def test_a_tagger_teaches_tagging(
    train: Train, tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path
) -> None:
    torch.manual_seed(2)
    model = es.create_model("fmn04", classes=list(tiny_data.classes))
    torch.nn.init.normal_(model.classifier.weak.weight)
    model.provenance = replace(model.provenance, task="tagging")
    es.save_model(model, tmp_path / "tagger.safetensors")
    _, _, losses = train(make_config(tiny_config, "tagging", teacher=(str(tmp_path / "tagger.safetensors"),)), "run")
    assert abs(losses["loss_distillation"] - losses["loss_supervised"]) > 0.005
    with pytest.raises(ConfigError, match="was trained on clip labels only"):
        train(make_config(tiny_config, teacher=(str(tmp_path / "tagger.safetensors"),)), "detection")


def test_a_teacher_without_the_classes(
    tiny_config: SyntheticConfig, tiny_data: Splits, teacher: str, tmp_path: Path
) -> None:
    with pytest.raises(
        DataError, match=r"teacher\.safetensors: its 17 classes lack 1 of the data set's 2, first 'new'$"
    ):
        SedModule(
            build_model(make_config(tiny_config), (tiny_data.classes[0], "new")),
            make_config(tiny_config, teacher=(teacher,)),
        )
    write_clip_teacher(tmp_path, tiny_data, 0)
    data = replace(tiny_config, clip_teacher=str(tmp_path / "t.npy"), clip_teacher_index=str(tmp_path / "t.pkl"))
    with pytest.raises(
        DataError, match=rf"t\.npy: holds none of the 8 training clips \(such as '{tiny_data.train[0].id}'\)$"
    ):
        fit(make_config(data, "tagging"), tiny_data, tmp_path / "run", show_progress=False)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            "train.teacher=a data.pseudo_labels=b",
            r"data\.pseudo_labels=b and train\.teacher=a: a run has one kind of teacher; give one of them",
        ),
        (
            "task=tagging train.teacher=[a,b] data.clip_teacher=c data.clip_teacher_index=d",
            r"data\.clip_teacher=c and train\.teacher=a,b: a run has one kind of teacher",
        ),
        ("train.teacher=[a,a]", r"train\.teacher=\[a,a\] is not allowed: names, none empty and none twice"),
        (
            "data.clip_teacher=a task=tagging",
            r"data\.clip_teacher=a is not allowed: only data\.clip_teacher=NPY and data\.clip_teacher_index=PKL "
            r"together",
        ),
        (
            "data.clip_teacher_index=a task=tagging",
            r"data\.clip_teacher_index=a is not allowed: only data\.clip_teacher=NPY and ",
        ),
        (
            "data.clip_teacher=a data.clip_teacher_index=b",
            r"data\.clip_teacher=a is not allowed: only with task=tagging",
        ),
    ],
)
def test_options_that_do_not_go_together(overrides: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        compose_run(overrides.split())


def test_one_teacher_or_several() -> None:
    assert compose_run([]).train.teacher == ()
    assert compose_run(["train.teacher=fmn10+tf-256_strong"]).train.teacher == ("fmn10+tf-256_strong",)
    assert compose_run(["train.teacher=[fmn10+tf-256_strong,runs/a/model.safetensors]"]).train.teacher == (
        "fmn10+tf-256_strong",
        "runs/a/model.safetensors",
    )
