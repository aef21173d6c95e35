"""Mean teacher training: its loss, what is averaged, validated and kept, and a stop in the middle."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stopping import stopped_at

from efficient_sed.config.model import ClassifierConfig
from efficient_sed.config.run import RunConfig
from efficient_sed.config.training import TrainConfig
from efficient_sed.data.datamodule import SedDataModule
from efficient_sed.data.events import KINDS, Event, Splits
from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.experiment.plan import announce
from efficient_sed.models.weights.checkpoint import load_model
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS
from efficient_sed.training.curves import read_curves
from efficient_sed.training.draws import KindRows
from efficient_sed.training.losses import ramp_up
from efficient_sed.training.module import SedModule
from efficient_sed.training.run_files import BEST_CHECKPOINT, LAST_CHECKPOINT
from efficient_sed.training.train import build_model, fit

SHARES = {"strong": 2, "weak": 1, "unlabelled": 1}


@pytest.fixture(scope="module")
def splits(tiny_data: Splits) -> Splits:
    """Four strong, two weak and two unlabelled scenes."""
    strong, rest = tiny_data.train[:4], tiny_data.train[4:]
    weak = (
        replace(
            clip,
            kind="weak",
            events=tuple(sorted({Event(0.0, clip.duration_s, event.label) for event in clip.events})),
        )
        for clip in rest[:2]
    )
    return replace(
        tiny_data, train=(*strong, *weak, *(replace(clip, kind="unlabelled", events=()) for clip in rest[2:]))
    )


def make_config(data: SyntheticConfig, **train: Any) -> RunConfig:
    options = {
        "epochs": 2,
        "batch_size": 4,
        "batch_clips": SHARES,
        "mean_teacher": True,
        "accelerator": "cpu",
        "warmup_steps": 0,
    } | train
    head = SEQUENCE_HEADS.get("tf")(hidden=16)  # which has dropout
    pooling = ClassifierConfig("attention")
    return RunConfig(BACKBONES.get("fmn04")(), head, data, TrainConfig(**options), classifier=pooling)


def checkpoint(folder: Path, name: str = LAST_CHECKPOINT) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(folder / name, weights_only=True)
    return state


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert torch.equal(value, other[key]), key


def test_loss_by_hand(tiny_config: SyntheticConfig, splits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(tiny_config)
    model = build_model(config, splits.classes).eval()
    module, data = SedModule(model, config), SedDataModule(config, splits, model.grid)
    teacher = SedModule(build_model(replace(config, seed=5), splits.classes).eval(), config)
    module.averages = [teacher]
    monkeypatch.setattr(SedModule, "current_epoch", 1)
    monkeypatch.setattr(SedModule, "trainer", type("Trainer", (), {"num_training_batches": 4}))
    batch = next(iter(data.train_dataloader()))
    augmented = module._augmented(batch, np.random.default_rng(0))
    augmented = augmented._replace(plain=augmented.mel + 0.1)  # what the teacher gets
    with torch.no_grad():
        output, taught = model(augmented.mel), teacher.model(augmented.plain)
    losses = module._losses(augmented, output)
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    frames = bce(output.frame_logits[:2], augmented.targets[:2])
    weak = bce(output.clip_logits[2], augmented.targets[2].amax(-1))
    torch.testing.assert_close(losses["loss"], frames + weak)
    difference = sum(((own.sigmoid() - other.sigmoid()) ** 2).mean() for own, other in zip(output, taught, strict=True))
    found = module._with_consistency(losses, augmented, output, 2)
    torch.testing.assert_close(found["consistency"], difference)
    torch.testing.assert_close(found["loss"], losses["loss"] + 2.0 * ramp_up(1.5) * difference)


def test_it_teaches_on_all_kinds_but_soft_labels() -> None:
    rows = KindRows.of(torch.arange(len(KINDS)), torch.zeros(len(KINDS), dtype=torch.bool))
    assert [KINDS[row] for row in rows.consistent] == ["strong", "weak", "unlabelled"]


def test_the_teacher_is_validated_and_kept(
    tiny_config: SyntheticConfig, splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the mean of the first students, and never a part of what is trained."""
    students: list[dict[str, torch.Tensor]] = []
    monkeypatch.setattr(
        SedModule,
        "on_train_batch_end",
        lambda self, *_: students.append({key: value.clone() for key, value in self.state_dict().items()}),
        raising=False,
    )
    model, facts = fit(make_config(tiny_config, select="last"), splits, tmp_path, show_progress=False)
    assert (facts["steps"], facts["clips_by_subset"]) == (4, {"strong": 4, "weak": 2, "unlabelled": 2})
    state = checkpoint(tmp_path)
    assert_same(state["current_model_state"], students[-1])
    expected = dict(students[0])
    for number, student in enumerate(students[1:], 2):
        decay = min(0.999, 1 - 1 / (number + 1))
        for key, value in student.items():
            expected[key] = decay * expected[key] + (1 - decay) * value if value.is_floating_point() else value
    own = []
    for key, value in state["state_dict"].items():
        if key.endswith(("running_mean", "running_var")):  # of its own passes
            own.append(not torch.equal(value, students[-1][key]))
        else:
            torch.testing.assert_close(value, expected[key], rtol=1e-5, atol=1e-6)
    assert any(own)
    assert_same({f"model.{key}": value for key, value in model.state_dict().items()}, state["state_dict"])
    curves = read_curves(tmp_path)
    assert {"train/loss_consistency_epoch", "train/loss_weak_epoch", "val/loss"} <= curves.keys()
    scores = {name.partition("/")[2] for name in curves if name.startswith("val/")} - {"loss"}
    assert scores == {name.partition("/")[2] for name in curves if name.startswith("val_student/")}
    assert any(curves[f"val/{name}"] != curves[f"val_student/{name}"] for name in scores)
    assert load_model(str(tmp_path / BEST_CHECKPOINT)).spec.pooling == "attention"


def test_sigterm_and_resume(
    tiny_config: SyntheticConfig, splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(tiny_config, draws_per_epoch=12, accumulate=2)
    fit(config, splits, tmp_path / "whole", show_progress=False)
    with stopped_at(4, monkeypatch):
        fit(config, splits, tmp_path / "stopped", show_progress=False)
    fit(config, splits, tmp_path / "stopped", show_progress=False)
    for name in (LAST_CHECKPOINT, BEST_CHECKPOINT):
        whole, resumed = checkpoint(tmp_path / "whole", name), checkpoint(tmp_path / "stopped", name)
        assert_same(whole["state_dict"], resumed["state_dict"])
        assert_same(whole["current_model_state"], resumed["current_model_state"])


@pytest.mark.parametrize("hook", ["on_train_start", "on_train_epoch_start"])
def test_frozen_parts_stay_in_evaluation_mode(hook: str, tiny_config: SyntheticConfig, splits: Splits) -> None:
    """Lightning calls the first alone where it resumes within an epoch."""
    module, teacher = (
        SedModule(
            build_model(make_config(tiny_config), splits.classes), make_config(tiny_config, is_batchnorm_frozen=True)
        )
        for _ in range(2)
    )
    module.averages = [teacher.eval()]
    module.train()
    getattr(module, hook)()
    modes = [part.training for part in module.model.modules()]
    assert modes == [part.training for part in teacher.model.modules()]
    assert {True, False} == set(modes)


def test_without_clips_for_a_teacher(
    tiny_config: SyntheticConfig, tiny_data: Splits, splits: Splits, caplog: pytest.LogCaptureFixture
) -> None:
    config = make_config(tiny_config, batch_clips=None)
    with caplog.at_level(logging.WARNING):
        announce(config, tiny_data)
    assert any(
        "train.mean_teacher=true, and the training part has neither weak nor" in line for line in caplog.messages
    )
    caplog.clear()
    with caplog.at_level(logging.INFO):
        announce(make_config(tiny_config), splits)
    assert (
        "training clips: 4 strong, 2 weak, 2 unlabelled; each batch of 2 strong, 1 weak, 1 unlabelled"
        in caplog.messages
    )
    assert not any("train.mean_teacher" in line for line in caplog.messages)
