"""Training on a handful of short scenes: what it writes, that it goes on where it stopped, and how it fails."""

from __future__ import annotations

import csv
import errno
import json
import math
import os
import re
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pytest
import torch
from damage import spoil

import efficient_sed as es
from efficient_sed.cli.main import main
from efficient_sed.config.augmentation import AugmentConfig
from efficient_sed.config.run import RunConfig
from efficient_sed.config.training import TrainConfig
from efficient_sed.data.datamodule import SedDataModule
from efficient_sed.data.dataset import EvaluationWindows, TrainingClips, collate
from efficient_sed.data.events import Splits
from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.errors import CheckpointError, ConfigError, DataError, DivergedError
from efficient_sed.machine.memory import explain
from efficient_sed.models.sed import SedModel
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS
from efficient_sed.training.module import SedModule
from efficient_sed.training.optim import warmup_cosine
from efficient_sed.training.train import build_model, fit

NO_AUGMENT = AugmentConfig(wave_mix_probability=0.0, mixup_probability=0.0, time_roll_sigma=0.0, mel_jitter=False)
EVERY_AUGMENT = AugmentConfig(
    mixup_probability=0.5, mixstyle_probability=0.5, time_mask_max=0.2, filter_probability=0.5,
    freq_warp_probability=0.5, speed_change=0.2, pitch_shift=0.2, wave_mix_loudness=True,
    spec_mask_frames=20, spec_mask_bins=9,
)  # fmt: skip


class Finished(NamedTuple):
    config: RunConfig
    folder: Path
    model: SedModel
    facts: dict[str, Any]


def make_config(data: SyntheticConfig, seq: str = "none", init: str | None = None, **options: Any) -> RunConfig:
    train = {"epochs": 2, "batch_size": 4, "accelerator": "cpu"} | options.pop("train", {})
    head = SEQUENCE_HEADS.get(seq)() if seq == "none" else SEQUENCE_HEADS.get(seq)(hidden=16)
    return RunConfig(BACKBONES.get("fmn04")(init), head, data, TrainConfig(**train), **options)


def train(config: RunConfig, splits: Splits, folder: Path) -> Finished:
    return Finished(config, folder, *fit(config, splits, folder, show_progress=False))


def read_metrics(folder: Path, column: str) -> list[float]:
    with (folder / "metrics.csv").open() as file:
        return [float(row[column]) for row in csv.DictReader(file) if row[column]]


def assert_same_weights(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], atol: float = 0.0) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        torch.testing.assert_close(value, other[key], rtol=0, atol=atol, msg=key)


def untimed(facts: dict[str, Any]) -> dict[str, Any]:
    assert facts["seconds_per_epoch"] > 0
    return {key: value for key, value in facts.items() if key not in ("seconds_per_epoch", "idle_share")}


def read_state(path: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return state


@pytest.fixture(scope="module")
def plain(tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return train(make_config(tiny_config), tiny_data, tmp_path_factory.mktemp("plain"))


@pytest.fixture
def damaged(tiny_config: SyntheticConfig, tmp_path: Path) -> Callable[[str], tuple[SyntheticConfig, Path]]:
    """A copy of the data set in which one file of a part has an intact header and nothing decodable behind it."""

    def damage(part: str) -> tuple[SyntheticConfig, Path]:
        config = replace(tiny_config, root=str(tmp_path / "damaged"))
        tiny_config.load()
        shutil.copytree(tiny_config.folder, config.folder)
        path = sorted((config.folder / "audio" / part).iterdir())[1]
        content = path.read_bytes()
        path.write_bytes(spoil(content))
        return config, path

    return damage


def test_what_training_writes(plain: Finished) -> None:
    assert {"best.ckpt", "last.ckpt", "metrics.csv", "progress.json"} <= {path.name for path in plain.folder.iterdir()}
    progress = json.loads((plain.folder / "progress.json").read_text())
    assert progress.keys() == {"step", "steps", "epoch", "epochs", "loss", "score", "eta_s"}
    assert (progress["steps"], progress["epochs"]) == (4, 2)
    assert plain.facts["steps"] == 4
    assert plain.facts["monitor"] == "val/psds1_macro"
    assert plain.facts["best_score"] == max(read_metrics(plain.folder, "val/psds1_macro"))
    for name in ("segment_pauroc", "frame_f1", "frame_error_rate", "event_f1", "event_onset_f1"):
        assert len(read_metrics(plain.folder, f"val/{name}")) == 2  # an epoch each
    assert (plain.facts["num_with_teacher"], plain.facts["unreadable"]) == (0, [])
    assert all(math.isfinite(loss) for loss in read_metrics(plain.folder, "train/loss_epoch"))
    assert torch.load(plain.folder / "last.ckpt", weights_only=True)["global_step"] == 4  # not only the best epoch


def test_tensorboard_has_the_names_of_the_table(
    tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(make_config(tiny_config, logger="tensorboard"), tiny_data, tmp_path)
    with (tmp_path / "metrics.csv").open() as file:
        names = set(csv.DictReader(file).fieldnames or ()) - {"step"}  # an axis there
    assert {"train/loss_epoch", "val/psds1_macro"} <= names
    assert set(EventAccumulator(str(tmp_path / "tensorboard")).Reload().Tags()["scalars"]) == names


def test_the_best_epoch_comes_back(plain: Finished) -> None:
    assert_same_weights(
        {f"model.{key}": value for key, value in plain.model.state_dict().items()},
        read_state(plain.folder / "best.ckpt"),
    )
    assert not plain.model.training


def test_lightning_checkpoint_loads(plain: Finished, tiny_data: Splits) -> None:
    model = es.load_model(str(plain.folder / "last.ckpt"))
    assert model.classes == list(tiny_data.classes)
    assert (model.provenance.clip_seconds, model.provenance.median_frames) == (3, 1)
    assert_same_weights(
        {f"model.{key}": value for key, value in model.state_dict().items()}, read_state(plain.folder / "last.ckpt")
    )
    assert_same_weights(es.load_model("fmn04", checkpoint=plain.folder / "last.ckpt").state_dict(), model.state_dict())
    with pytest.raises(CheckpointError, match=r"holds fmn04, not fmn06"):
        es.load_model("fmn06", checkpoint=plain.folder / "last.ckpt")


def test_a_finished_training_is_not_repeated(plain: Finished, tiny_data: Splits, tmp_path: Path) -> None:
    folder = shutil.copytree(plain.folder, tmp_path / "run")
    before = (plain.folder / "best.ckpt").stat().st_mtime_ns
    again = train(plain.config, tiny_data, plain.folder)
    assert (plain.folder / "best.ckpt").stat().st_mtime_ns == before
    assert again.facts == plain.facts
    assert_same_weights(again.model.state_dict(), plain.model.state_dict())
    assert (folder / "metrics.csv").read_bytes() == (plain.folder / "metrics_part1.csv").read_bytes()


RECIPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "sparse validation": {"validate_every": 2},
    "averaged": {
        "ema_decay": 0.7,
        "draws_per_epoch": 16,
        "accumulate": 2,
        "optimizer": "lamb",
        "schedule": "one_cycle",
    },
    "all": {"augment": EVERY_AUGMENT, "sampler": "balanced", "draws_per_epoch": 16, "accumulate": 2, "select": "last"},
}


@pytest.mark.parametrize(
    ("seq", "batch_index", "recipe"),
    [
        ("gru", 1, "plain"),
        ("tf", 3, "all"),
        *(
            pytest.param(*row, marks=pytest.mark.long)
            for row in (("tf", 0, "plain"), ("tf", 1, "sparse validation"), ("tf", 3, "averaged"))
        ),
    ],
)
@pytest.mark.slow
def test_resumed_equals_uninterrupted(
    tiny_config: SyntheticConfig,
    tiny_data: Splits,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seq: str,
    batch_index: int,
    recipe: str,
) -> None:
    """Killed in the third of four epochs, with augmentation and dropout."""
    config = make_config(
        tiny_config, seq, train={"epochs": 4, "augment": AugmentConfig(mixup_probability=0.5)} | RECIPES[recipe]
    )
    whole = train(config, tiny_data, tmp_path / "whole")
    step = SedModule.training_step

    def die(self: SedModule, batch: Any, index: int) -> Any:
        if (self.current_epoch, index) == (2, batch_index):
            raise InterruptedError("killed")
        return step(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(SedModule, "training_step", die)
        with pytest.raises(InterruptedError):
            train(config, tiny_data, tmp_path / "resumed")
    assert torch.load(tmp_path / "resumed" / "last.ckpt", weights_only=True)["global_step"] == 4
    resumed = train(config, tiny_data, tmp_path / "resumed")
    assert untimed(resumed.facts) == untimed(whole.facts)
    assert read_metrics(resumed.folder, "train/loss_epoch")[-2:] == pytest.approx(
        read_metrics(whole.folder, "train/loss_epoch")[-2:], abs=1e-6
    )
    for file in ("last.ckpt", "best.ckpt"):
        assert_same_weights(read_state(resumed.folder / file), read_state(whole.folder / file))
    if config.train.ema_decay:
        assert_same_weights(
            *(
                torch.load(run.folder / "last.ckpt", weights_only=True)["current_model_state"]
                for run in (resumed, whole)
            )
        )
    assert (resumed.folder / "metrics_part1.csv").is_file()


def test_the_average_is_what_is_validated_and_kept(
    tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first step's weights, then 0.6 of the average and 0.4 of each further step's; statistics of BatchNorm are
    those of the last batch."""
    seen: list[dict[str, torch.Tensor]] = []
    monkeypatch.setattr(
        SedModule,
        "on_train_batch_end",
        lambda self, *_: seen.append({key: value.clone() for key, value in self.state_dict().items()}),
        raising=False,
    )
    config = make_config(
        tiny_config,
        train={"epochs": 2, "batch_size": 2, "accumulate": 2, "ema_decay": 0.6, "warmup_steps": 0, "select": "last"},
    )
    done = train(config, tiny_data, tmp_path)
    steps = seen[1::2]  # every other batch ends a step
    assert len(steps) == done.facts["steps"] == 4
    expected = dict(steps[0])
    for state in steps[1:]:
        for key in done.model.state_dict():
            before, now = expected[f"model.{key}"], state[f"model.{key}"]
            expected[f"model.{key}"] = 0.6 * before + 0.4 * now if now.is_floating_point() else now
    last = read_state(tmp_path / "last.ckpt")
    assert_same_weights(last, expected, atol=1e-6)
    assert any(not torch.equal(value, last[key]) for key, value in steps[-1].items())
    assert_same_weights({f"model.{key}": value for key, value in done.model.state_dict().items()}, last)
    windows = EvaluationWindows(tiny_data.validation, tiny_data.classes, done.model.grid, 3)
    batch = collate([windows[index] for index in range(len(windows))])
    with torch.inference_mode():
        logits = done.model(done.model.frontend(batch.waveform)).frame_logits
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, batch.targets)
    assert read_metrics(tmp_path, "val/loss")[-1] == pytest.approx(float(loss), rel=1e-4)


def test_excerpts_are_shorter_than_what_is_scored(tiny_config: SyntheticConfig, tiny_data: Splits) -> None:
    config = make_config(tiny_config, train={"crop_seconds": 2.0})
    grid = build_model(config, tiny_data.classes).grid
    data = SedDataModule(config, tiny_data, grid)
    assert [len(dataset[key].waveform) for dataset, key in ((data.training, (0, 0)), (data.validation, 0))] == [
        32_000,
        48_000,
    ]  # type: ignore[index,union-attr]
    longer = SedDataModule(make_config(tiny_config, train={"crop_seconds": 8.0}), tiny_data, grid)
    assert len(longer.training[(0, 0)].waveform) == 48_000  # type: ignore[union-attr]


@pytest.mark.parametrize(("task", "name"), [("tagging", "label_smoothing"), ("detection", "activity_balance")])
def test_options_that_change_the_loss(
    task: str, name: str, tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path
) -> None:
    options = {"epochs": 1, "batch_size": 8, "augment": NO_AUGMENT}
    for value in (0.0, 0.2):
        config = make_config(tiny_config, task=task, train=options | {name: value})
        train(config, tiny_data, tmp_path / str(value))
    plain, changed = (read_metrics(tmp_path / folder, "train/loss_epoch") for folder in ("0.0", "0.2"))
    assert plain != pytest.approx(changed, rel=1e-6)


def read_rates(folder: Path) -> list[dict[str, float]]:
    """Rows of the log that hold learning rates: by group, with the number of the step."""
    with (folder / "metrics.csv").open() as file:
        rows = [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
    return [
        {
            key.removeprefix("lr-Adam/"): value
            for key, value in row.items()
            if key.startswith("lr-Adam/") or key == "step"
        }
        for row in rows
        if "lr-Adam/head" in row
    ]


@pytest.mark.parametrize("accumulate", [2])
def test_the_log_holds_the_rate_of_every_group(
    tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path, accumulate: int
) -> None:
    """What a step of the optimiser used: the group's peak rate times warm-up and cosine at that step, however many
    batches make one."""
    options = {
        "batch_size": 1,
        "draws_per_epoch": 8 * accumulate,
        "accumulate": accumulate,
        "epochs": 3,
        "validate_every": 3,
        "warmup_steps": 8,
    }
    done = train(
        make_config(
            tiny_config,
            train=options | {"lr_backbone": 2e-4, "lr_head": 5e-4, "final_lr_ratio": 0.1, "is_batchnorm_frozen": True},
        ),
        tiny_data,
        tmp_path,
    )
    assert done.facts["steps"] == 24
    rates = read_rates(tmp_path)
    assert len(rates) >= 4
    for row in rates:
        factor = warmup_cosine(int(row.pop("step")), 8, 24, 0.1)
        expected = {f"backbone.{stage}": 2e-4 * 0.9 ** (16 - stage) * factor for stage in range(17)} | {
            "head": 5e-4 * factor
        }
        assert row == pytest.approx(expected, rel=1e-5)


def test_frozen_backbone_logs_one_rate(
    plain: Finished, tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path
) -> None:
    es.save_model(plain.model, tmp_path / "start.safetensors")
    options = {"is_backbone_frozen": True, "batch_size": 1, "epochs": 1}
    train(
        make_config(tiny_config, "none", str(tmp_path / "start.safetensors"), train=options),
        tiny_data,
        tmp_path / "run",
    )
    assert all(row.keys() == {"step", "head"} for row in read_rates(tmp_path / "run"))


def first_moments(folder: Path) -> list[torch.Tensor]:
    """A tenth of the gradient of the only step."""
    (optimizer,) = torch.load(folder / "last.ckpt", weights_only=True)["optimizer_states"]
    return [state["exp_avg"] for _, state in sorted(optimizer["state"].items())]


def test_accumulated_gradient_is_that_of_the_whole_batch(
    tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path
) -> None:
    gradients = []
    for batch_size, accumulate in ((8, 1), (4, 2), (2, 4)):
        folder = tmp_path / str(accumulate)
        options = {
            "epochs": 1,
            "batch_size": batch_size,
            "accumulate": accumulate,
            "augment": NO_AUGMENT,
            "is_batchnorm_frozen": True,
        }
        assert train(make_config(tiny_config, train=options), tiny_data, folder).facts["steps"] == 1
        gradients.append(first_moments(folder))
    for other in gradients[1:]:
        for one, two in zip(gradients[0], other, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-6 + 1e-4 * float(one.abs().max()))


def test_batches_of_one_step_are_augmented_differently(
    tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    augmented = SedModule._augmented

    def spy(self: SedModule, batch: Any, rng: np.random.Generator) -> Any:
        drawn.append(json.dumps(rng.bit_generator.state))
        return augmented(self, batch, rng)

    monkeypatch.setattr(SedModule, "_augmented", spy)
    train(make_config(tiny_config, train={"accumulate": 2}), tiny_data, tmp_path)
    assert len(drawn) == len(set(drawn)) == 4


def test_the_last_epoch_if_asked_for(tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path) -> None:
    """A learning rate that spoils the model after the first epoch."""
    models = {}
    for select in ("best", "last"):
        done = train(
            make_config(
                tiny_config, task="tagging", train={"select": select, "epochs": 3, "lr_head": 1.0, "lr_backbone": 0.3}
            ),
            tiny_data,
            tmp_path / select,
        )
        assert done.facts["select"] == select
        models[select] = {f"model.{key}": value for key, value in done.model.state_dict().items()}
        assert_same_weights(models[select], read_state(tmp_path / select / f"{select}.ckpt"))
    assert_same_weights(read_state(tmp_path / "best" / "last.ckpt"), read_state(tmp_path / "last" / "last.ckpt"))


@pytest.mark.parametrize("seq", ["gru", "mamba"])
def test_mixed_precision(tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path, seq: str) -> None:
    """A step in bfloat16 is near one in float32, whose weights it keeps."""
    losses = {}
    for precision in ("32-true", "bf16-mixed"):
        options = {"precision": precision, "epochs": 1, "batch_size": 8, "is_batchnorm_frozen": True}
        done = train(make_config(tiny_config, seq, train=options), tiny_data, tmp_path / precision)
        assert {parameter.dtype for parameter in done.model.parameters()} == {torch.float32}
        assert all(parameter.isfinite().all() for parameter in done.model.parameters())
        (losses[precision],) = read_metrics(tmp_path / precision, "train/loss_epoch")
    assert losses["bf16-mixed"] == pytest.approx(losses["32-true"], rel=0.02)
    assert losses["bf16-mixed"] != losses["32-true"]


def test_tagging_in_mixed_precision(tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path) -> None:
    assert (
        train(
            make_config(tiny_config, task="tagging", train={"precision": "bf16-mixed", "epochs": 1}),
            tiny_data,
            tmp_path,
        ).facts["best_score"]
        > 0
    )


def test_float16_needs_a_gpu(tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError,
        match=r"^train\.precision=16-mixed is not allowed: float16 needs a GPU; give train\.precision=bf16-mixed "
        r"or 32-true$",
    ):
        train(make_config(tiny_config, train={"precision": "16-mixed"}), tiny_data, tmp_path)


def test_nothing_to_balance(tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path) -> None:
    silent = replace(tiny_data, train=tuple(replace(clip, events=()) for clip in tiny_data.train))
    with pytest.raises(
        DataError,
        match=r"^train\.sampler=balanced draws clips by their events, and the train part holds none; give "
        r"train\.sampler=uniform$",
    ):
        train(make_config(tiny_config, train={"sampler": "balanced"}), silent, tmp_path)


def test_interrupt_stays_an_interrupt(
    tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SedModule, "training_step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(make_config(tiny_config), tiny_data, tmp_path)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_loss_falls_on_one_batch(tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path) -> None:
    few = replace(tiny_data, train=tiny_data.train[:4])
    options = {
        "epochs": 12,
        "validate_every": 12,
        "warmup_steps": 0,
        "final_lr_ratio": 1.0,
        "augment": NO_AUGMENT,
        "batchnorm_momentum": 0.1,
    }
    train(make_config(tiny_config, train=options), few, tmp_path)
    losses = read_metrics(tmp_path, "train/loss_epoch")
    assert len(losses) == 12
    assert losses[-1] < 0.5 * losses[0]


def write_pseudo_labels(path: Path, splits: Splits, names: list[str]) -> None:
    logits = np.random.default_rng(0).normal(size=(len(names), len(splits.classes), 75)).astype(np.float16)
    with h5py.File(path, "w") as file:
        file["filenames"], file["strong_logits"] = np.array(names, dtype="S"), logits


@pytest.mark.parametrize("num_workers", [0, 1])
def test_distillation(tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path, num_workers: int) -> None:
    write_pseudo_labels(tmp_path / "teacher.hdf5", tiny_data, [clip.id for clip in tiny_data.train[:7]])
    data = replace(tiny_config, pseudo_labels=str(tmp_path / "teacher.hdf5"), num_workers=num_workers)
    done = train(make_config(data, train={"epochs": 1, "distillation_weight": 0.75}), tiny_data, tmp_path / "run")
    assert done.facts["num_with_teacher"] == 7
    total, supervised, distillation = (
        read_metrics(tmp_path / "run", f"train/loss{part}_epoch") for part in ("", "_supervised", "_distillation")
    )
    assert supervised != pytest.approx(distillation)
    assert total[0] == pytest.approx(0.25 * supervised[0] + 0.75 * distillation[0], abs=1e-5)


def test_tagging(tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path) -> None:
    done = train(make_config(tiny_config, task="tagging", train={"epochs": 1}), tiny_data, tmp_path)
    assert done.facts["monitor"] == "val/map"
    assert 0 < done.facts["best_score"] == read_metrics(tmp_path, "val/map")[0] <= 1
    assert 0 <= read_metrics(tmp_path, "val/mauc")[0] <= 1
    before = build_model(done.config, tiny_data.classes)
    assert torch.equal(
        done.model.classifier.strong.weight, before.classifier.strong.weight
    )  # frame logits take no part
    assert not torch.equal(done.model.classifier.weak.weight, before.classifier.weak.weight)


def statistics(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: value for key, value in state.items() if key.endswith(("running_mean", "running_var"))}


def test_frozen_batchnorm(tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path) -> None:
    config = make_config(tiny_config, train={"is_batchnorm_frozen": True})
    done = train(config, tiny_data, tmp_path)
    before = build_model(config, tiny_data.classes).state_dict()
    last = {key.removeprefix("model."): value for key, value in read_state(done.folder / "last.ckpt").items()}
    assert_same_weights(statistics(last), statistics(before))
    assert not torch.equal(last["backbone.features.0.0.weight"], before["backbone.features.0.0.weight"])


def test_batchnorm_that_is_not_frozen_learns(plain: Finished, tiny_data: Splits) -> None:
    before = build_model(plain.config, tiny_data.classes).state_dict()
    last = {key.removeprefix("model."): value for key, value in read_state(plain.folder / "last.ckpt").items()}
    assert all(not torch.equal(value, before[key]) for key, value in statistics(last).items())


def test_frozen_backbone(plain: Finished, tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path) -> None:
    es.save_model(plain.model, tmp_path / "start.safetensors")
    done = train(
        make_config(tiny_config, "gru", str(tmp_path / "start.safetensors"), train={"is_backbone_frozen": True}),
        tiny_data,
        tmp_path / "run",
    )
    last = read_state(done.folder / "last.ckpt")
    assert_same_weights(
        {key: last[f"model.backbone.{key}"] for key in plain.model.backbone.state_dict()},
        plain.model.backbone.state_dict(),
    )
    fresh = build_model(done.config, tiny_data.classes).state_dict()
    assert not torch.equal(last["model.sequence.gru.weight_ih_l0"], fresh["sequence.gru.weight_ih_l0"])


def test_init_takes_the_backbone_alone(plain: Finished, tiny_config: SyntheticConfig, tmp_path: Path) -> None:
    path = str(tmp_path / "start.safetensors")
    es.save_model(plain.model, path)
    model = build_model(make_config(tiny_config, "gru", path), ("a", "b", "c"))
    assert_same_weights(model.backbone.state_dict(), plain.model.backbone.state_dict())
    assert model.classes == ["a", "b", "c"]
    fresh = build_model(make_config(tiny_config, "gru"), ("a", "b", "c"))
    assert_same_weights(
        model.sequence.state_dict(), fresh.sequence.state_dict()
    )  # the seed decides, with or without initial weights


def test_init_that_cannot_be_used(plain: Finished, tiny_config: SyntheticConfig, tmp_path: Path) -> None:
    path = tmp_path / "start.safetensors"
    es.save_model(plain.model, path)
    config = make_config(tiny_config, init=str(path))
    with pytest.raises(CheckpointError, match=rf"^backbone\.init={path} holds fmn04, the run's backbone is fmn06$"):
        build_model(replace(config, backbone=BACKBONES.get("fmn06")(str(path))), ("a",))
    with pytest.raises(CheckpointError, match=r"absent\.safetensors: no such checkpoint file"):
        build_model(make_config(tiny_config, init=str(tmp_path / "absent.safetensors")), ("a",))


@pytest.mark.parametrize(("part", "num_workers"), [("train", 0), ("validation", 1)])
def test_damaged_audio_stops_training(
    damaged: Callable[[str], tuple[SyntheticConfig, Path]], tmp_path: Path, part: str, num_workers: int
) -> None:
    data, path = damaged(part)
    with pytest.raises(DataError, match=r"damaged audio .*; data\.on_error=skip leaves such files out$") as caught:
        train(make_config(replace(data, num_workers=num_workers)), data.load(), tmp_path / "run")
    assert str(caught.value).startswith(f"{path}: ")


def test_damaged_audio_is_skipped_and_counted(
    damaged: Callable[[str], tuple[SyntheticConfig, Path]], tmp_path: Path
) -> None:
    data, path = damaged("train")
    done = train(make_config(replace(data, on_error="skip")), data.load(), tmp_path / "run")
    (message,) = done.facts["unreadable"]
    assert message.startswith(f"{path}: damaged audio")
    assert done.facts["steps"] == 4


def flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(255 - byte for byte in data[middle : middle + 400]) + data[middle + 400 :]


@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
@pytest.mark.parametrize(
    "damage", [lambda _: b"", lambda data: data[: len(data) // 2], flip], ids=["empty", "cut", "flipped"]
)
def test_damaged_checkpoints_are_told_before_training(
    tiny_data: Splits, plain: Finished, tmp_path: Path, name: str, damage: Callable[[bytes], bytes]
) -> None:
    for file in ("last.ckpt", "best.ckpt"):
        (tmp_path / file).write_bytes((plain.folder / file).read_bytes())
    (tmp_path / name).write_bytes(damage((tmp_path / name).read_bytes()))
    with pytest.raises(
        CheckpointError,
        match=rf"{name}: damaged \(.+\); put a copy of it back, or delete last\.ckpt and best\.ckpt, and the run "
        rf"begins anew$",
    ) as caught:
        train(plain.config, tiny_data, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_best_epoch_that_is_gone_is_told(tiny_data: Splits, plain: Finished, tmp_path: Path) -> None:
    folder = shutil.copytree(plain.folder, tmp_path / "run")
    (folder / "best.ckpt").unlink()
    with pytest.raises(
        CheckpointError,
        match=rf"^{folder}/best\.ckpt: is gone; put it back, or delete last\.ckpt beside it, too, and the run "
        rf"begins anew$",
    ):
        fit(plain.config, tiny_data, folder, show_progress=False)


def test_a_training_that_diverges_says_so(tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path) -> None:
    config = make_config(tiny_config, train={"lr_head": 1e30, "lr_backbone": 1e30, "warmup_steps": 0})
    with pytest.raises(
        DivergedError,
        match=r"^the training diverged in epoch 1: .* lower rates than train\.lr_head=1e\+30 and "
        r"train\.lr_backbone=1e\+30, or train\.gradient_clip=1$",
    ):
        fit(config, tiny_data, tmp_path, show_progress=False)
    assert not list(tmp_path.glob("*.ckpt"))


def test_a_killed_data_worker_is_one_line(
    tiny_config: SyntheticConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(TrainingClips, "__getitem__", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    scenes = (
        f"data.num_train=8 data.num_validation=4 data.num_test=4 data.scene_seconds=3 data.clip_seconds=3 "
        f"data.num_workers=1 data.root={tiny_config.root}"
    )
    assert (
        main(
            [
                "train",
                "backbone=fmn04",
                "seq=none",
                "train.accelerator=cpu",
                "train.batch_size=4",
                f"output_dir={tmp_path}",
                *scenes.split(),
            ]
        )
        == 2
    )
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.match(
        r"efficient-sed: a process that decodes audio ended \((Killed|unexpectedly)\), perhaps for lack of memory; ",
        last,
    )


def test_a_mistake_of_a_data_worker_is_not_called_a_loss(
    tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainingClips, "__getitem__", lambda *_: torch.zeros(3) + torch.zeros(4))
    with pytest.raises(RuntimeError, match="Caught RuntimeError in DataLoader worker process 0") as caught:
        fit(make_config(replace(tiny_config, num_workers=1)), tiny_data, tmp_path, show_progress=False)
    assert explain(caught.value) is None


def test_every_epoch_is_a_line_of_the_log(
    tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        fit(make_config(tiny_config), tiny_data, tmp_path, show_progress=False)
    lines = [message for record in caplog.records if (message := record.getMessage()).startswith("epoch ")]
    assert [line.split(",")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert [float(line.split("last validation ")[1].split(",")[0]) for line in lines] == pytest.approx(
        read_metrics(tmp_path, "val/psds1_macro"), abs=1e-3
    )


def test_a_checkpoint_that_may_not_be_read_is_not_called_damaged(
    tiny_data: Splits, plain: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    (tmp_path / "last.ckpt").touch()
    monkeypatch.setattr("efficient_sed.training.run_files.check_archive", refuse)
    with pytest.raises(CheckpointError, match=r"last\.ckpt: cannot be read \(Permission denied\); make it readable$"):
        train(plain.config, tiny_data, tmp_path)


def test_full_disk_leaves_the_checkpoint_before(
    tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(tiny_config)
    fsync, start = os.fsync, SedModule.on_train_epoch_start
    is_full = False

    def fill_up(self: SedModule) -> None:
        nonlocal is_full
        is_full = self.current_epoch == 1
        start(self)

    def full(handle: int) -> None:
        if is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        patch.setattr(SedModule, "on_train_epoch_start", fill_up)
        with pytest.raises(
            CheckpointError,
            match=r"last\.ckpt: cannot be written \(No space left on device\); the checkpoint before it is intact",
        ) as caught:
            train(config, tiny_data, tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["global_step"] == 2
    assert not [path.name for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]
    assert train(config, tiny_data, tmp_path / "run").facts["steps"] == 4


@pytest.mark.parametrize(
    ("part", "task", "message"),
    [("validation", task, "nothing to score: of 1 clips none could be read") for task in ("detection", "tagging")]
    + [("train", "detection", "not one training file could be read; the last one: ")],
)
def test_not_one_readable_file(
    damaged: Callable[[str], tuple[SyntheticConfig, Path]], tmp_path: Path, part: str, task: str, message: str
) -> None:
    data, _ = damaged(part)
    splits = data.load()
    broken = replace(splits, **{part: getattr(splits, part)[1:2]})
    with pytest.raises(DataError) as caught:
        train(make_config(replace(data, on_error="skip"), task=task), broken, tmp_path / "run")
    assert message in str(caught.value)
