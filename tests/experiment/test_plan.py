import dataclasses
import logging
from collections.abc import Sequence

import numpy as np
import pytest

from efficient_sed.config.run import RunConfig
from efficient_sed.config.training import TrainConfig
from efficient_sed.data.datamodule import SedDataModule
from efficient_sed.data.events import Event, Splits
from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.experiment.plan import announce, training_plan
from efficient_sed.models.factory import create_model
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS


def make_run(data: SyntheticConfig, **train: object) -> RunConfig:
    options = {"epochs": 2, "batch_size": 4, **train}
    return RunConfig(BACKBONES.get("fmn04")(), SEQUENCE_HEADS.get("none")(), data, train=TrainConfig(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_size": 3},
        {"batch_size": 500},
        {"min_steps_per_epoch": 9},
        {"min_steps_per_epoch": 9, "accumulate": 2},
        {"accumulate": 3, "batch_size": 2},
        {"draws_per_epoch": 7, "batch_size": 2},
        {"draws_per_epoch": 7, "batch_size": 2, "min_steps_per_epoch": 9},
    ],
    ids=str,
)
def test_the_plan_is_what_the_loader_gives(
    options: dict[str, int], tiny_config: SyntheticConfig, tiny_data: Splits
) -> None:
    run = make_run(dataclasses.replace(tiny_config, num_workers=0), **options)
    plan = training_plan(run, {"strong": len(tiny_data.train)})
    loader = SedDataModule(run, tiny_data, create_model("fmn04", num_classes=3).grid).train_dataloader()
    batches = len(loader)
    assert plan.steps == run.train.epochs * int(np.ceil(batches / run.train.accumulate))
    loader.sampler.set_epoch(0)  # type: ignore[attr-defined]
    drawn = [len(batch) for batch in loader.batch_sampler]  # type: ignore[union-attr]
    assert plan.views == run.train.epochs * sum(drawn)
    if "min_steps_per_epoch" in options and "draws_per_epoch" not in options:
        assert plan.steps >= 2 * options["min_steps_per_epoch"]


def with_events(splits: Splits, part: str, kept: Sequence[Event]) -> Splits:
    clips = tuple(dataclasses.replace(clip, events=tuple(e for e in clip.events if e in kept)) for clip in splits.train)
    return dataclasses.replace(splits, **{part: clips})


def test_what_is_too_little_is_said_before_the_start(
    tiny_config: SyntheticConfig, tiny_data: Splits, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        announce(make_run(tiny_config, warmup_steps=5000), tiny_data)
    text = "\n".join(caplog.messages)
    assert "training: " in text
    assert "train.warmup_steps=5000 is cut to" in text
    assert "fewer than 10 training events" in text  # a handful of scenes
    caplog.clear()
    label = tiny_data.train[0].events[0].label
    lost = with_events(tiny_data, "validation", [])
    with caplog.at_level(logging.INFO):
        announce(make_run(tiny_config, warmup_steps=0), lost)
    text = "\n".join(caplog.messages)
    assert "is cut to" not in text
    assert "without a validation event" in text
    assert label in text or "more" in text
