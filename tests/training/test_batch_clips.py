"""Batches that are composed of subsets, what is mixed with what, and advanced distillation on both kinds of clips,
stopped and resumed."""

from __future__ import annotations

import csv
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from stopping import stopped_at

import efficient_sed as es
from efficient_sed.audio.augment import time as augment
from efficient_sed.audio.augment.time import draw_mixup
from efficient_sed.config.augmentation import AugmentConfig
from efficient_sed.config.parse import from_dict
from efficient_sed.config.run import RunConfig
from efficient_sed.config.training import TrainConfig
from efficient_sed.data.datamodule import SedDataModule
from efficient_sed.data.dataset import Batch
from efficient_sed.data.events import KINDS, Event, Splits
from efficient_sed.data.sets.audioset_strong import AudioSetStrongConfig
from efficient_sed.errors import ConfigError, DataError
from efficient_sed.experiment.compose import compose_run, to_yaml
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS
from efficient_sed.training import augmentation
from efficient_sed.training.augmentation import augment_batch
from efficient_sed.training.module import SedModule
from efficient_sed.training.run_files import LAST_CHECKPOINT
from efficient_sed.training.train import build_model, fit

NO_AUGMENT = AugmentConfig(
    wave_mix_probability=0.0, mixup_probability=0.0, weak_mixup_probability=0.0, time_roll_sigma=0.0, mel_jitter=False
)


@pytest.fixture(scope="module")
def splits(tiny_data: Splits) -> Splits:
    """Eight strong clips, and the test part as unlabelled ones, drawn by a label that is none of the classes."""
    return with_weak(tiny_data, "Whoop")


def with_weak(splits: Splits, *labels: str) -> Splits:
    events = tuple(Event(0.0, 3.0, label) for label in labels)
    weak = (replace(clip, id=f"weak_{clip.id}", events=events) for clip in splits.test)
    return replace(
        splits, train=(*splits.train[:8], *(replace(clip, kind="unlabelled", subset="weak") for clip in weak))
    )


@pytest.fixture(scope="module")
def teacher(tiny_data: Splits, tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(1)
    model = es.create_model("fmn04", classes=list(tiny_data.classes))
    torch.nn.init.normal_(model.classifier.strong.weight)
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    es.save_model(model, path)
    return str(path)


def make_config(stored: str, **train: Any) -> RunConfig:
    options = {
        "epochs": 1,
        "batch_size": 4,
        "batch_clips": {"strong": 2, "weak": 2},
        "teacher": (stored,),
        "accelerator": "cpu",
        "select": "last",
    } | train
    data = AudioSetStrongConfig(weak_root="weak", clip_seconds=3, num_workers=0)
    return RunConfig(BACKBONES.get("fmn04")(), SEQUENCE_HEADS.get("none")(), data, TrainConfig(**options))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(folder / LAST_CHECKPOINT, weights_only=True)["state_dict"]
    return state


def test_batches_hold_both(splits: Splits, teacher: str) -> None:
    config = make_config(teacher, batch_size=4, batch_clips={"weak": 1, "strong": 3}, draws_per_epoch=17)
    data = SedDataModule(config, splits, build_model(config, splits.classes).grid)
    batches: list[Batch] = list(data.train_dataloader())
    assert len(batches) == 4
    for batch in batches:
        assert [position >= 8 for position in batch.positions.tolist()] == [False, False, False, True]
        assert [KINDS[kind] for kind in batch.kinds] == ["strong"] * 3 + ["unlabelled"]
        assert not batch.targets[-1].any()
        weak = splits.train[int(batch.positions[-1])]
        assert torch.equal(batch.waveform[-1], weak.audio.read(0.0, 3.0))
    assert any(batch.targets.any() for batch in batches)


def test_loss_by_hand(splits: Splits, teacher: str) -> None:
    config = make_config(teacher, augment=NO_AUGMENT)
    model = build_model(config, splits.classes)
    module, data = SedModule(model, config), SedDataModule(config, splits, model.grid)
    batch = next(iter(data.train_dataloader()))
    augmented = augment_batch(batch, model, NO_AUGMENT, np.random.default_rng(0), has_teacher=True)
    mel, targets = augmented[:2]
    output = model.eval()(mel)
    losses = module._losses(augmented, output)
    assert module.teacher is not None
    taught = module.teacher([mel]).frame_logits.sigmoid()
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    strong, weak = (bce(output.frame_logits[kind], taught[kind]) for kind in (slice(0, 2), slice(2, 4)))
    expected = 0.1 * bce(output.frame_logits[:2], targets[:2]) + 0.9 * (0.5 * strong + 0.5 * weak)
    torch.testing.assert_close(losses["loss"], expected, rtol=1e-6, atol=1e-6)


@pytest.fixture
def mixtures(monkeypatch: pytest.MonkeyPatch) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Partners and shares of every mix of a batch's labels."""
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def spy(x: torch.Tensor, partners: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
        if x.ndim == 3:
            seen.append((partners, share))
        return augment.mix(x, partners, share)

    monkeypatch.setattr(augmentation, "mix", spy)
    return seen


def noise(is_weak: list[bool]) -> Batch:
    generator = torch.Generator().manual_seed(0)
    size = len(is_weak)
    targets = (torch.rand(size, 3, 50, generator=generator) > 0.8).float()
    groups = torch.tensor(is_weak).long()
    batch = Batch.of_strong(torch.randn(size, 32_000, generator=generator), targets, 0.8 * targets)
    return batch._replace(kinds=KINDS.index("weak") * groups, groups=groups)


def test_each_kind_is_mixed_with_itself(mixtures: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
    is_weak = torch.tensor([True, False, False, True, True, False, True, False])
    model, batch, config = (
        es.create_model("fmn04", num_classes=3),
        noise(is_weak.tolist()),
        replace(NO_AUGMENT, wave_mix_probability=0.7, mixup_probability=0.5),
    )
    for seed in range(30):
        augment_batch(batch, model, replace(config, weak_mixup_probability=1.0), np.random.default_rng(seed))
    assert (
        len(mixtures) == 30 * 4
    )  # labels and teacher, of waveforms and of spectrograms, which are mixed in every batch as weak ones always are
    for partners, share in mixtures:
        assert torch.equal(is_weak[partners], is_weak)
        assert sorted(partners.tolist()) == list(range(8))
        assert share.min() >= 0.5
    spectra = mixtures[2::4]
    assert all((share[is_weak] < 1).all() for _, share in spectra)
    num_strong_mixed = sum(bool((share[~is_weak] < 1).any()) for _, share in spectra)
    assert 5 < num_strong_mixed < 25


def test_weak_alpha(mixtures: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
    """A clip's own weight is near a half for large alphas, near 1 for small ones."""
    model, batch = es.create_model("fmn04", num_classes=3), noise([True] * 4 + [False] * 4)
    config = replace(
        NO_AUGMENT, mixup_probability=1.0, mixup_alpha=50.0, weak_mixup_probability=1.0, weak_mixup_alpha=0.01
    )
    augment_batch(batch, model, config, np.random.default_rng(0))
    _, share = mixtures[0]
    assert share[:4].median() > 0.95
    assert share[4:].max() < 0.75


@pytest.mark.parametrize("seed", range(5))
def test_without_weak_clips_the_draws_are_what_they_were(
    mixtures: list[tuple[torch.Tensor, torch.Tensor]], seed: int
) -> None:
    config = replace(NO_AUGMENT, wave_mix_probability=0.7, mixup_probability=0.6, weak_mixup_probability=1.0)
    augment_batch(noise([False] * 6), es.create_model("fmn04", num_classes=3), config, np.random.default_rng(seed))
    rng = np.random.default_rng(seed)
    expected = [draw_mixup(rng, 6, config.wave_mix_alpha, 0.7)]
    if rng.random() < 0.6:
        expected.append(draw_mixup(rng, 6, config.mixup_alpha))
    assert len(mixtures) == 2 * len(expected)
    for (partners, share), (expected_partners, expected_share) in zip(mixtures[::2], expected, strict=True):
        assert torch.equal(partners, expected_partners)
        assert torch.equal(share, expected_share)


def test_a_training(splits: Splits, teacher: str, tmp_path: Path) -> None:
    _, facts = fit(make_config(teacher), splits, tmp_path, show_progress=False)
    assert (facts["steps"], facts["num_with_teacher"]) == (2, 12)  # until the four weak clips are used up
    assert facts["clips_by_subset"] == {"strong": 8, "weak": 4}
    with (tmp_path / "metrics.csv").open() as file:
        (row,) = [row for row in csv.DictReader(file) if row["train/loss_epoch"]]
    loss, labels, taught = (
        float(row[f"train/{name}_epoch"]) for name in ("loss", "loss_supervised", "loss_distillation")
    )
    assert loss == pytest.approx(0.1 * labels + 0.9 * taught, abs=1e-5)


def test_labels_of_weak_clips_are_not_learnt(splits: Splits, teacher: str, tmp_path: Path) -> None:
    """Other labels that draw the same clips make the same model."""
    fit(make_config(teacher), splits, tmp_path / "one", show_progress=False)
    other = with_weak(splits, splits.classes[0])
    fit(make_config(teacher), other, tmp_path / "other", show_progress=False)
    one, two = weights(tmp_path / "one"), weights(tmp_path / "other")
    assert all(torch.equal(value, two[key]) for key, value in one.items())


def test_sigterm_and_resume(splits: Splits, teacher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(teacher, epochs=2, sampler="balanced", draws_per_epoch=16, is_batchnorm_frozen=True)
    fit(config, splits, tmp_path / "whole", show_progress=False)
    with stopped_at(6, monkeypatch):
        fit(config, splits, tmp_path / "stopped", show_progress=False)
    fit(config, splits, tmp_path / "stopped", show_progress=False)
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    assert all(torch.equal(value, resumed[key]) for key, value in whole.items())


def test_what_is_read_stays_on_the_cpu(splits: Splits, teacher: str) -> None:
    config = make_config(teacher)
    data = SedDataModule(config, splits, build_model(config, splits.classes).grid)
    moved = data.transfer_batch_to_device(noise([True, False]), torch.device("meta"), 0)
    assert [tensor.device.type for tensor in (moved.waveform, moved.kinds, moved.groups)] == ["meta", "cpu", "cpu"]


def load(splits: Splits, config: RunConfig) -> SedDataModule:
    data = SedDataModule(config, splits, build_model(config, splits.classes).grid)
    data.train_dataloader()
    return data


def test_clips_without_use(splits: Splits, teacher: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert len(load(splits, make_config(teacher, teacher=(), batch_clips=None)).training) == 8
        assert len(load(splits, make_config(teacher, batch_clips={"strong": 4})).training) == 12
    assert caplog.messages == [
        "4 unlabelled training clips that no teacher labels are left out; train.mean_teacher=true learns from them",
        "4 clips 'weak' of the training part take part in no batch: train.batch_clips does not name them",
    ]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (
            {"draws_per_epoch": 3},
            r"train\.draws_per_epoch=3 does not fill a batch of train\.batch_size=4; give a smaller one",
        ),
        (
            {"batch_size": 32, "batch_clips": {"strong": 16, "weak": 16}},
            r"one pass over a subset does not fill a batch of train\.batch_size=32; give a smaller one",
        ),
        (
            {"batch_clips": {"strong": 2, "week": 2}},
            r"train\.batch_clips names 'week'; the training part has the subsets strong \(8 clips\), weak \(4 clips\); "
            r"did you mean 'weak'\?.*",
        ),
        (
            {"teacher": ()},
            r"train\.batch_clips names 'weak', whose clips are unlabelled, and nothing teaches on them; give "
            r"train\.mean_teacher=true, or leave the subset out",
        ),
        (
            {"batch_clips": None, "sampler": "balanced"},
            r"train\.sampler=balanced never draws a clip without .*",
        ),
    ],
)
def test_batches_that_cannot_be_made(splits: Splits, teacher: str, train: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, DataError), match=f"^{message}$"):
        load(splits, make_config(teacher, **train))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["train.batch_clips={strong: 3, weak: 2}", "train.batch_size=8"],
            r"train\.batch_clips={strong: 3, weak: 2} is not allowed: its sum is 5, and has to be train\.batch_size=8",
        ),
        (["train.batch_clips={}"], r"train\.batch_clips={} is not allowed: a table of .*"),
        (["train.batch_clips={strong: -1}"], r"train\.batch_clips={'strong': -1} is not allowed: a table of .*"),
        (["train.batch_clips={strong: a}"], r"train\.batch_clips={'strong': 'a'} is not allowed: a table of .*"),
        (["train.batch_clips=8"], r"train\.batch_clips=8 must be a table of keys and values"),
        (
            ["train.batch_clips={strong: 3, weak: 5}", "train.batch_size=8", "train.devices=2"],
            r"train\.devices=2 is not allowed: a divisor of every number in train\.batch_clips={strong: 3, weak: 5}",
        ),
        (
            ["train.augment.weak_mixup_probability=2"],
            r"train\.augment\.weak_mixup_probability=2\.0 is not allowed: 0 to 1",
        ),
        (["train.augment.weak_mixup_alpha=0"], r"train\.augment\.weak_mixup_alpha=0\.0 is not allowed: above 0"),
        (["data.weak_root=a"], r"unknown key data\.weak_root; .*data=audioset_strong has it.*"),
        (["train.mean_teacher_decay=1"], r"train\.mean_teacher_decay=1\.0 is not allowed: above 0 and below 1"),
        (["train.consistency_weight=0"], r"train\.consistency_weight=0\.0 is not allowed: above 0"),
        (["train.ramp_up_epochs=0"], r"train\.ramp_up_epochs=0 is not allowed: 1 or more, or null"),
        (
            ["train.mean_teacher=true", "train.ema_decay=0.9"],
            r"train\.ema_decay=0\.9 is not allowed: 0 with train\.mean_teacher=true, whose teacher is such an .*",
        ),
        (
            ["train.mean_teacher=true", "train.strategy=deepspeed_stage_2"],
            r"train\.mean_teacher=true is not allowed: false with train\.strategy=deepspeed_stage_2, .*",
        ),
        (
            ["data=esc50", "task=tagging", "classifier.pooling=attention"],
            r"classifier\.pooling=attention is not allowed: mean with data=esc50 and task=tagging, which choose .*",
        ),
        (
            ["backbone=erann", "seq=none", "train.augment.mel_jitter=false", "classifier.pooling=linear_softmax"],
            r"classifier\.pooling=linear_softmax is not allowed: mean with backbone=erann and seq=none, which have .*",
        ),
        (["classifier.pooling=max"], r"classifier\.pooling='max' is not allowed; .*"),
    ],
)
def test_bad_options(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}$") as caught:
        compose_run(overrides)
    assert "\n" not in str(caught.value)


def test_batch_clips_survive_a_round_trip() -> None:
    config = compose_run(["train.batch_clips={strong: 3, weak: 5}", "train.batch_size=8"])
    assert config.train.batch_clips == {"strong": 3, "weak": 5}
    assert from_dict(RunConfig, yaml.safe_load(to_yaml(config))) == config


def test_a_table_that_is_typed_replaces_that_of_a_preset() -> None:
    preset = ["experiment=mean_teacher", "train.batch_size=12"]
    assert compose_run([*preset, "train.batch_clips={strong: 8, weak: 4}"]).train.batch_clips == {
        "strong": 8,
        "weak": 4,
    }
    assert compose_run([*preset, "train.batch_clips=null"]).train.batch_clips is None
    words = [*preset, "train.batch_clips.strong=4"]  # one entry of it
    assert compose_run(words).train.batch_clips == {"strong": 4, "unlabelled": 8}
