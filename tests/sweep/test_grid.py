"""Comma lists become distinct, valid runs before anything starts."""

from __future__ import annotations

import pytest
from grid_points import points_without_data

from efficient_sed.errors import ConfigError
from efficient_sed.experiment.compose import compose_run
from efficient_sed.models.names import model_name
from efficient_sed.registry import SEQUENCE_HEADS
from efficient_sed.sweep.grid import expand_grid


def names(typed: str) -> list[str]:
    return [f"{model_name(point.config)} s{point.config.seed}" for point in expand_grid(typed.split())]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", ["fmn10+tf-256 s0"]),
        ("seq=gru,tf seq.hidden=128,64", ["fmn10+gru-128 s0", "fmn10+gru-64 s0", "fmn10+tf-128 s0", "fmn10+tf-64 s0"]),
        ("seq.hidden=128,64 seq=gru,tf", ["fmn10+gru-128 s0", "fmn10+tf-128 s0", "fmn10+gru-64 s0", "fmn10+tf-64 s0"]),
        ("backbone=fmn06,fmn04 seq=none", ["fmn06 s0", "fmn04 s0"]),
        ("seed=2,0,2", ["fmn10+tf-256 s2", "fmn10+tf-256 s0"]),
        ("seq=none,tf seq.hidden=64,128", ["fmn10 s0", "fmn10+tf-64 s0", "fmn10+tf-128 s0"]),
        (
            "seq=tf,none seq.hidden=64,128 seed=0,1",
            ["fmn10+tf-64 s0", "fmn10+tf-64 s1", "fmn10+tf-128 s0", "fmn10+tf-128 s1", "fmn10 s0", "fmn10 s1"],
        ),
        ("seq=gru,tf seq.hidden=64 seq.num_heads=4", ["fmn10+gru-64 s0", "fmn10+tf-64 s0"]),
        ("seq=tf seq.hidden=256", ["fmn10+tf-256 s0"]),
        ("output_dir=a,b", ["fmn10+tf-256 s0"]),
        ("seq=none seeds=0,1,2", ["fmn10 s0", "fmn10 s1", "fmn10 s2"]),
        (
            "train.augment.mel_jitter=false model=dnd-dws,fmn04,dnd-dnd-k3-d1 seq.dilation=1",
            ["dnd-dws s0", "fmn04 s0", "dnd-dnd-k3-d1 s0"],
        ),
        ("seeds=3 seq=none,gru seq.hidden=64", ["fmn10 s3", "fmn10+gru-64 s3"]),
    ],
)
def test_points_in_the_order_typed(typed: str, expected: list[str]) -> None:
    assert names(typed) == expected


def test_every_head() -> None:
    heads = SEQUENCE_HEADS.names()
    points = expand_grid(["seq=all", "seq.hidden=128"])
    assert [point.config.seq.name for point in points] == heads
    assert len(heads) >= 3
    assert all(getattr(point.config.seq, "hidden", 128) == 128 for point in points)


def test_points_carry_what_a_run_is_started_with() -> None:
    first, second = points_without_data(
        *("seq=none,gru", "seq.hidden=32", "train.epochs=3", "data.classes=[a,b]", "data=folder")
    )
    assert first.overrides == ("seq=none", "train.epochs=3", "data.classes=[a,b]", "data=folder")
    assert second.overrides == ("seq=gru", "seq.hidden=32", "train.epochs=3", "data.classes=[a,b]", "data=folder")
    assert first.signature != second.signature
    assert first.folder.name.endswith(first.signature)


@pytest.mark.parametrize(
    ("typed", "message", "point"),
    [
        (
            "seq=tf seq.hidden=128,250,256",
            "seq.hidden=250 is not allowed: it must be divisible",
            "seq=tf seq.hidden=250",
        ),
        ("seq=tf,gru seq.hidden=20,64", "seq.hidden=20 is not allowed", "seq=tf seq.hidden=20"),
        ("seq=tf,tff", "unknown sequence head seq=tff; did you mean 'tf'?", "seq=tff"),
        ("seq=none,tf seq.hiden=64", "unknown key seq.hiden", "seq=none seq.hiden=64"),
        ("train.epochs=2,0 seed=0,1", "train.epochs=0 is not allowed: 1 to 1000000", "train.epochs=0 seed=0"),
        ("seq=none seeds=0,x", "seed='x' must be a whole number", "seq=none seed=x"),
        (
            "model=fmn04,dnd-bass",
            "'dnd-bass' is not a model name: no system 'dnd-bass'; did you mean 'dnd-base'?",
            "model=dnd-bass",
        ),
        ("backbone=fmn04,fmn03", "unknown backbone backbone=fmn03", "backbone=fmn03"),
        (
            "seq=none train.is_backbone_frozen=false,true",
            "train.is_backbone_frozen=true is not allowed",
            "seq=none train.is_backbone_frozen=True",
        ),
    ],
)
def test_one_invalid_point_refuses_all(typed: str, message: str, point: str) -> None:
    with pytest.raises(ConfigError) as caught:
        expand_grid(typed.split())
    assert str(caught.value).startswith(message)
    assert str(caught.value).endswith(f"(at the grid's point {point})")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        ("evaluation.dtc=0.7,0.5", "evaluate"),
        ("benchmark.seconds=1.0,5.0", "benchmark"),
        ("benchmark.device=cpu,gpu", "benchmark"),
    ],
)
def test_a_grid_keeps_one_measurement_of_a_training(typed: str, command: str) -> None:
    key, _, second = typed.replace(",", "=").split("=")
    message = rf"^{key}={second}: a run keeps one measurement, .* look at others by: efficient-sed {command} RUN/"
    with pytest.raises(ConfigError, match=message):
        expand_grid([typed, "seed=1"])
    assert len(expand_grid([typed.replace(",", " ").split()[0], "seed=0,1"])) == 2


def test_seeds_belong_to_grids_and_are_given_once() -> None:
    for typed in ("seeds=0,1", "seeds=0"):
        with pytest.raises(ConfigError, match=rf"^{typed}: seeds are for `sweep`; a run takes one, such as seed=0$"):
            compose_run([typed])
    with pytest.raises(
        ConfigError, match=r"^seed and seeds mean the same in a grid; give one of them, such as seeds=0,1,2$"
    ):
        expand_grid(["seed=0", "seeds=1,2"])
