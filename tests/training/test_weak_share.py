"""Advanced distillation: batches of strong and weak clips, what is mixed with what, and a training on both, stopped and
resumed."""

from __future__ import annotations

import csv
import logging
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import efficient_sed as es
from efficient_sed.audio.augment import time as augment
from efficient_sed.audio.augment.time import draw_mixup
from efficient_sed.config.augmentation import AugmentConfig
from efficient_sed.config.run import RunConfig
from efficient_sed.config.training import TrainConfig
from efficient_sed.data.datamodule import SedDataModule
from efficient_sed.data.dataset import Batch
from efficient_sed.data.events import Event, Splits
from efficient_sed.data.sets.audioset_strong import AudioSetStrongConfig
from efficient_sed.errors import ConfigError, DataError, PreemptedError
from efficient_sed.experiment.compose import compose_run
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS
from efficient_sed.training import augmentation
from efficient_sed.training.augmentation import augment_batch
from efficient_sed.training.losses import half_weak_loss
from efficient_sed.training.module import SedModule
from efficient_sed.training.progress import ProgressFile
from efficient_sed.training.run_files import LAST_CHECKPOINT
from efficient_sed.training.train import build_model, fit

NO_AUGMENT = AugmentConfig(
    wave_mix_probability=0.0, mixup_probability=0.0, weak_mixup_probability=0.0, time_roll_sigma=0.0, mel_jitter=False
)


@pytest.fixture(scope="module")
def splits(tiny_data: Splits) -> Splits:
    """Eight strong clips, and the test part as weak ones, with a label that is none of the classes."""
    weak = tuple(replace(clip, id=f"weak_{clip.id}", events=(Event(0.0, 3.0, "Whoop"),)) for clip in tiny_data.test)
    return replace(tiny_data, weak=weak)


@pytest.fixture(scope="module")
def teacher(tiny_data: Splits, tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(1)
    model = es.create_model("fmn04", classes=list(tiny_data.classes))
    torch.nn.init.normal_(model.classifier.strong.weight)
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    es.save_model(model, path)
    return str(path)


def make_config(teacher: str, **train: Any) -> RunConfig:
    options = {
        "epochs": 1,
        "batch_size": 4,
        "weak_share": 0.5,
        "teacher": (teacher,),
        "accelerator": "cpu",
        "select": "last",
    } | train
    data = AudioSetStrongConfig(weak_root="weak", clip_seconds=3, num_workers=0)
    return RunConfig(BACKBONES.get("fmn04")(), SEQUENCE_HEADS.get("none")(), data, TrainConfig(**options))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(folder / LAST_CHECKPOINT, weights_only=True)["state_dict"]
    return state


def test_batches_hold_both(splits: Splits, teacher: str) -> None:
    config = make_config(teacher, batch_size=4, weak_share=0.25, draws_per_epoch=17)
    data = SedDataModule(config, splits, build_model(config, splits.classes).grid)
    batches: list[Batch] = list(data.train_dataloader())
    assert len(batches) == 4
    for batch in batches:
        assert batch.is_weak.dtype == torch.bool
        assert (
            batch.is_weak.tolist()
            == [position >= 8 for position in batch.positions.tolist()]
            == [False, False, False, True]
        )
        assert not batch.targets[batch.is_weak].any()
        weak = splits.weak[int(batch.positions[-1]) - 8]
        assert torch.equal(batch.waveform[-1], weak.audio.read(0.0, 3.0))
    assert any(batch.targets.any() for batch in batches)


def test_loss_by_hand(splits: Splits, teacher: str) -> None:
    config = make_config(teacher, augment=NO_AUGMENT)
    model = build_model(config, splits.classes)
    module, data = SedModule(model, config), SedDataModule(config, splits, model.grid)
    batch = next(iter(data.train_dataloader()))
    augmented = augment_batch(batch, model, NO_AUGMENT, np.random.default_rng(0))
    mel, targets, _, _, *rows = augmented
    output = model.eval()(mel)
    losses = module._losses(augmented, output)
    assert module.teacher is not None
    taught = module.teacher([mel]).frame_logits.sigmoid()
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    strong, weak = (bce(output.frame_logits[kind], taught[kind]) for kind in (slice(0, 2), slice(2, 4)))
    expected = 0.1 * bce(output.frame_logits[:2], targets[:2]) + 0.9 * (0.5 * strong + 0.5 * weak)
    torch.testing.assert_close(losses["loss"], expected)
    torch.testing.assert_close(
        losses["loss"], half_weak_loss(output.frame_logits, targets, taught, *rows, 0.9, 0.5)["loss"]
    )


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
    return Batch(
        torch.randn(size, 32_000, generator=generator),
        targets,
        0.8 * targets,
        torch.arange(size),
        torch.tensor(is_weak),
        [],
    )


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
    assert (facts["steps"], facts["num_weak"], facts["num_with_teacher"]) == (
        4,
        4,
        8,
    )  # one pass over eight strong clips, two a batch
    with (tmp_path / "metrics.csv").open() as file:
        (row,) = [row for row in csv.DictReader(file) if row["train/loss_epoch"]]
    loss, labels, strong, weak = (
        float(row[f"train/{name}_epoch"])
        for name in ("loss", "loss_supervised", "loss_distillation_strong", "loss_distillation_weak")
    )
    assert loss == pytest.approx(0.1 * labels + 0.45 * strong + 0.45 * weak, abs=1e-5)


def test_labels_of_weak_clips_are_not_learnt(splits: Splits, teacher: str, tmp_path: Path) -> None:
    """Other labels that draw the same clips make the same model."""
    fit(make_config(teacher), splits, tmp_path / "one", show_progress=False)
    other = tuple(replace(clip, events=(Event(0.0, 3.0, splits.classes[0]),)) for clip in splits.weak)
    fit(make_config(teacher), replace(splits, weak=other), tmp_path / "other", show_progress=False)
    one, two = weights(tmp_path / "one"), weights(tmp_path / "other")
    assert all(torch.equal(value, two[key]) for key, value in one.items())


def test_sigterm_and_resume(splits: Splits, teacher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(teacher, epochs=2, sampler="balanced")
    fit(config, splits, tmp_path / "whole", show_progress=False)
    steps = 0

    def terminate(*_: object) -> None:
        nonlocal steps
        steps += 1
        if steps == 6:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(ProgressFile, "on_train_batch_start", terminate, raising=False)
        with pytest.raises(PreemptedError):
            fit(config, splits, tmp_path / "stopped", show_progress=False)
    fit(config, splits, tmp_path / "stopped", show_progress=False)
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    assert all(torch.equal(value, resumed[key]) for key, value in whole.items())


def test_is_weak_stays_on_the_cpu(splits: Splits, teacher: str) -> None:
    config = make_config(teacher)
    data = SedDataModule(config, splits, build_model(config, splits.classes).grid)
    moved = data.transfer_batch_to_device(noise([True, False]), torch.device("meta"), 0)
    assert (moved.waveform.device.type, moved.is_weak.device.type) == ("meta", "cpu")


def test_weak_clips_without_use(splits: Splits, teacher: str, caplog: pytest.LogCaptureFixture) -> None:
    config = make_config(teacher, weak_share=0.0)
    with caplog.at_level(logging.WARNING):
        data = SedDataModule(config, splits, build_model(config, splits.classes).grid)
    assert caplog.messages == ["4 weak clips are loaded and take part in no batch: train.weak_share=0"]
    assert len(data.training) == 8


def test_too_little_for_a_batch(splits: Splits, teacher: str) -> None:
    def load(train: dict[str, Any], splits: Splits) -> object:
        config = make_config(teacher, **train)
        return SedDataModule(config, splits, build_model(config, splits.classes).grid).train_dataloader()

    with pytest.raises(
        DataError,
        match=r"^train\.draws_per_epoch=3 and train\.weak_share=0\.5 do not fill a batch of 4; give a smaller one$",
    ):
        load({"draws_per_epoch": 3}, splits)
    with pytest.raises(
        DataError,
        match=r"^one pass over 8 strong clips and train\.weak_share=0\.5 do not fill a batch of 32; give a "
        r"smaller one$",
    ):
        load({"batch_size": 32}, splits)
    with pytest.raises(
        DataError, match=r"^train\.weak_share=0\.5 draws weak clips by their labels, and none of the 4 has one$"
    ):
        load({}, replace(splits, weak=tuple(replace(clip, events=()) for clip in splits.weak)))


WEAK = "data=audioset_strong data.weak_root=a train.teacher=a"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("train.weak_share=0.5", r"train\.weak_share=0\.5 is not allowed: 0 without train\.teacher=NAME"),
        (
            "train.weak_share=0.5 train.teacher=a",
            r"train\.weak_share=0\.5 is not allowed: 0 without data=audioset_strong data\.weak_root=DIR",
        ),
        (
            "train.weak_share=0.5 train.teacher=a data=audioset_strong",
            r"train\.weak_share=0\.5 is not allowed: 0 without data=audioset_strong data\.weak_root=DIR",
        ),
        (
            "train.weak_share=0.5 data=audioset_strong data.weak_root=a data.pseudo_labels=b",
            r"train\.weak_share=0\.5 is not allowed: 0 without train\.teacher=NAME",
        ),
        (
            f"{WEAK} train.weak_share=0.5 task=tagging",
            r"train\.weak_share=0\.5 is not allowed: only with task=detection",
        ),
        (f"{WEAK} train.weak_share=1", r"train\.weak_share=1\.0 is not allowed: 0 to below 1"),
        (f"{WEAK} train.weak_share=-0.5", r"train\.weak_share=-0\.5 is not allowed: 0 to below 1"),
        (
            f"{WEAK} train.weak_share=0.3 train.batch_size=4",
            r"train\.weak_share=0\.3 is not allowed: a whole number of clips of train\.batch_size=4; the nearest "
            r"is 0\.25",
        ),
        (
            f"{WEAK} train.weak_share=0.01 train.batch_size=8",
            r"train\.weak_share=0\.01 is not allowed: a whole number of .*; the nearest is 0\.125",
        ),
        (
            f"{WEAK} train.weak_share=0.99 train.batch_size=8",
            r"train\.weak_share=0\.99 is not allowed: a whole number of .*; the nearest is 0\.875",
        ),
        (
            f"{WEAK} train.weak_share=0.5 train.batch_size=1",
            r"train\.weak_share=0\.5 is not allowed: a whole number of .*; the nearest is 0",
        ),
        (
            "train.augment.weak_mixup_probability=2",
            r"train\.augment\.weak_mixup_probability=2\.0 is not allowed: 0 to 1",
        ),
        ("train.augment.weak_mixup_alpha=0", r"train\.augment\.weak_mixup_alpha=0\.0 is not allowed: above 0"),
        ("data.weak_root=a", r"unknown key data\.weak_root; .*data=audioset_strong has it.*"),
    ],
)
def test_bad_options(overrides: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}$") as caught:
        compose_run(overrides.split())
    assert "\n" not in str(caught.value)


def test_shares_of_whole_clips() -> None:
    for size in (2, 3, 6, 64, 120):
        for number in range(1, size):
            assert (
                compose_run(
                    [*WEAK.split(), f"train.batch_size={size}", f"train.weak_share={number / size:g}"]
                ).train.weak_per_batch
                == number
            )
            if size > 6:
                break
