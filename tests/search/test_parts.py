"""Costs against counted models, the front and its area by hand, and which trials are hopeless."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import efficient_sed as es
from efficient_sed.data.labels import default_classes
from efficient_sed.errors import ConfigError, StoppedError
from efficient_sed.experiment.compose import compose_run
from efficient_sed.models.sed import ModelSpec, SedModel
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS
from efficient_sed.search.costs import Budget, Cost, CostCounter, preset_options, within_budget
from efficient_sed.search.front import Trained, dominated_area, front_of, share_of
from efficient_sed.search.hopeless import Course, Watch, is_hopeless
from efficient_sed.search.space import create_space, parse_dimension
from efficient_sed.sweep.launch import RunStatus, State
from efficient_sed.training.run_files import STOP_FILE


def run(macs: float, validation: float, test: float) -> Trained:
    return Trained(macs, validation, test, {})


def test_costs_are_those_of_the_model() -> None:
    counter = CostCounter(10)
    model = es.create_model("fmn01+gru-32", 10)
    params = sum(parameter.numel() for parameter in model.parameters())
    typed = ["backbone=fmn01", "seq=gru", "seq.hidden=32"]
    assert counter.count(typed) == Cost(es.count_macs(model).total, params)
    assert counter.count([*typed, "backbone.mel_bins=64", "backbone.hop_ms=20"]).macs < counter.count(typed).macs / 2.5


def test_costs_with_what_a_preset_sets() -> None:
    typed = ["experiment=mean_teacher", "backbone=fmn01", "seq=gru", "seq.hidden=32"]
    preset = preset_options(compose_run(typed), typed)
    assert preset == {"backbone.init": "synthetic", "classifier.pooling": "attention"}
    backbone, seq = BACKBONES.get("fmn01")(), SEQUENCE_HEADS.get("gru")(hidden=32)
    model = SedModel(ModelSpec(backbone, seq, default_classes(10), "attention"))
    params = sum(parameter.numel() for parameter in model.parameters())
    assert CostCounter(10, preset).count(typed) == Cost(es.count_macs(model).total, params)
    counter = CostCounter(10, {"backbone.mel_bins": 64})
    assert counter.count(typed) == CostCounter(10).count([*typed, "backbone.mel_bins=64"])
    assert counter.count([*typed, "backbone.mel_bins=128"]) == CostCounter(10).count(typed)


def test_a_range_is_cheapest_at_either_end() -> None:
    fixed = ["backbone=fmn01", "seq=none", "backbone.mel_bins=64", "backbone.time_stride=4"]
    space = create_space(["backbone.hop_ms=10..20"], fixed)
    cheapest = CostCounter(10).count([*fixed, "backbone.hop_ms=20"])
    assert within_budget(space, Budget(cheapest.macs), CostCounter(10)) == space
    with pytest.raises(ConfigError, match=r"the cheapest, backbone\.hop_ms=20, has"):
        within_budget(space, Budget(cheapest.macs - 1), CostCounter(10))
    sizes = create_space(["seq.hidden=32..67"], ["backbone=fmn01", "seq=tf", *fixed[2:], "backbone.hop_ms=20"])
    assert within_budget(sizes, Budget(10**9), CostCounter(10)) == sizes  # 67 is none, and 32 is


def test_keys_go_with_their_part() -> None:
    space = create_space(["train.batch_size=8..32"], ["data=synthetic"])
    assert space.overrides({"seq": "none", "seq.hidden": "64", "backbone": "fmn04"})[1:] == [
        "seq=none",
        "backbone=fmn04",
    ]
    kept = [dimension.key for dimension in create_space([], ["backbone=beats", "seq=none"]).dimensions]
    assert kept == ["train.lr_backbone", "train.lr_head"]
    assert parse_dimension("train.batch_size=8..32").is_whole
    assert str(parse_dimension("train.lr_head=1e-4..1e-2")) == "train.lr_head=0.0001..0.01"


def test_front_and_area() -> None:
    """The front is chosen by validation, and its area is that below the test scores."""
    runs = [run(1e6, 0.2, 0.1), run(1e7, 0.5, 0.4), run(1e8, 0.4, 0.9), run(1e8, 0.6, 0.3)]
    assert front_of(runs) == [runs[0], runs[1], runs[3]]
    assert dominated_area(runs, 1e9) == pytest.approx(0.1 + 0.4 + 0.4)
    assert dominated_area(runs, 10**7.5) == pytest.approx(0.1 + 0.4 / 2)
    assert share_of(runs[:1], runs[:2], 10**8) == pytest.approx(0.2 / 0.5)
    assert share_of(runs, [run(1e9, 0.5, 0.5)], 10**8) is None
    assert not math.isnan(cast(float, share_of(runs, runs, None)))


def test_hopeless_are_those_below_the_median_of_no_dearer_ones(tmp_path: Path) -> None:
    others = [Course(macs, {"4": score}) for macs, score in ((1, 0.1), (2, 0.3), (3, 0.5), (9, 0.9))]
    assert is_hopeless(Course(5, {"4": 0.2}), "4", others)
    assert not is_hopeless(Course(5, {"4": 0.3}), "4", others)
    assert not is_hopeless(Course(2, {"4": 0.0}), "4", others)  # only two cost no more
    assert not is_hopeless(Course(5, {"3": 0.0}), "3", others)

    def status(step: int) -> RunStatus:
        progress = {"epoch": 4, "step": step, "steps": 90, "score": 0.2}
        point = SimpleNamespace(signature="a", folder=tmp_path)
        return cast(RunStatus, SimpleNamespace(point=point, state=State.RUNNING, progress=lambda: progress))

    watch = Watch({"a": 5}, others)
    watch.look([status(29)])
    assert not (tmp_path / STOP_FILE).exists()
    watch = Watch({"a": 5}, others)
    watch.look([status(30)])
    assert (tmp_path / STOP_FILE).exists()
    assert watch.stopped == {"a"}


def test_a_training_stops_on_request_between_epochs(tmp_path: Path) -> None:
    from efficient_sed.training.callbacks import StopOnRequest

    stop, trainer = StopOnRequest(tmp_path), cast(Any, SimpleNamespace(is_global_zero=True, current_epoch=3))
    (tmp_path / STOP_FILE).touch()
    stop.on_train_start(trainer, cast(Any, None))  # a request to an earlier start
    stop.on_train_epoch_start(trainer, cast(Any, None))
    (tmp_path / STOP_FILE).touch()
    with pytest.raises(StoppedError, match="before epoch 4"):
        stop.on_train_epoch_start(trainer, cast(Any, None))
    assert not (tmp_path / STOP_FILE).exists()
