"""A grid whose starting points do not fit stops before its first run, and before any data are made."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import efficient_sed as es
from efficient_sed.cli.main import main
from efficient_sed.config.data import DataConfig
from efficient_sed.data.events import Splits
from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.errors import CheckpointError, ConfigError, DataError
from efficient_sed.experiment.result_file import RESULT_FILE
from efficient_sed.models.sed import ModelSpec, SedModel
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS
from efficient_sed.sweep.grid import expand_grid
from efficient_sed.sweep.preflight import check_points


def small_data(config: SyntheticConfig) -> list[str]:
    """Keys of the tiny data set, but for its folder."""
    keys = ("num_train", "num_validation", "num_test", "scene_seconds", "clip_seconds")
    return [f"data.{key}={getattr(config, key)}" for key in keys]


def test_each_start_is_tried_once(
    tiny_config: SyntheticConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "mn04_im.pt"
    torch.save(BACKBONES.get("fmn04")().build().state_dict(), path)
    data = [f"data.root={tiny_config.root}", *small_data(tiny_config)]
    with caplog.at_level(logging.INFO):
        check_points(
            expand_grid(
                [
                    *data,
                    "backbone=fmn04",
                    f"backbone.init={path}",
                    "seq=none",
                    "seed=0,1",
                    f"output_dir={tmp_path}/runs",
                ]
            )
        )
    assert len([message for message in caplog.messages if message.startswith(f"fmn04 starts from {path}: ")]) == 1


def test_teachers_are_tried(tiny_config: SyntheticConfig, tmp_path: Path) -> None:
    data = [f"data.root={tiny_config.root}", *small_data(tiny_config)]
    rest = ["backbone=fmn04", "seq=none", f"output_dir={tmp_path}/runs"]
    for option, error, message in (
        ("train.teacher=fmn04_synthetic", ConfigError, "^teacher fmn04_synthetic: was trained on clip labels only"),
        (f"data.pseudo_labels={tmp_path}/absent.h5", DataError, r"^data\.pseudo_labels=.*absent\.h5: no such file$"),
    ):
        with pytest.raises(error, match=message):
            check_points(expand_grid([*data, *rest, option]))


@pytest.mark.parametrize("backbone", ["crnn_cnn", "erann1"])
def test_teachers_are_held_against_each_backbone_s_own_grid(
    backbone: str, tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model and a file of logits; `data check`, too, knows the model only where it is named."""
    model = es.create_model(backbone, classes=list(tiny_data.classes))
    es.save_model(model, tmp_path / "teacher.safetensors")
    with h5py.File(tmp_path / "stored.h5", "w") as file:
        file["filenames"] = np.array([clip.id for clip in tiny_data.train], dtype="S")
        file["classes"] = np.array(tiny_data.classes, dtype=h5py.string_dtype())
        file["strong_logits"] = np.zeros(
            (len(tiny_data.train), len(tiny_data.classes), model.grid.num_frames(3 * model.grid.sample_rate)),
            np.float16,
        )
        file.attrs["frame_hop_s"] = model.grid.hop_s
    data = [
        f"data.{key}={getattr(tiny_config, key)}"
        for key in ("root", "num_train", "num_validation", "num_test", "scene_seconds", "clip_seconds")
    ]
    rest = [*data, "seq=none", "train.augment.mel_jitter=false", f"output_dir={tmp_path}/runs"]
    for teacher in (f"train.teacher={tmp_path}/teacher.safetensors", f"data.pseudo_labels={tmp_path}/stored.h5"):
        check_points(expand_grid([*rest, f"backbone={backbone}", teacher]))
        with pytest.raises((ConfigError, DataError), match=r"its frames last .* the (student|model)'s 0\.04 s"):
            check_points(expand_grid([*rest, f"backbone={backbone},fmn04", teacher]))
    for words, status in (((), 0), ((f"backbone={backbone}",), 0), (("backbone=fmn04",), 2)):
        assert (
            main(
                [
                    "data",
                    "check",
                    *data,
                    f"data.pseudo_labels={tmp_path}/stored.h5",
                    "train.augment.mel_jitter=false",
                    *words,
                ]
            )
            == status
        )
    assert "the model's 0.04 s" in capsys.readouterr().err


@pytest.mark.parametrize("pooling", ["attention", "linear_softmax"])
def test_a_start_has_the_pooling_of_its_run(
    pooling: str, tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path
) -> None:
    backbone, head = BACKBONES.get("fmn04")(), SEQUENCE_HEADS.get("none")()
    es.save_model(SedModel(ModelSpec(backbone, head, tiny_data.classes, pooling)), tmp_path / "start.safetensors")
    rest = ["backbone=fmn04", "seq=none", f"train.init_from={tmp_path}/start.safetensors"]
    data = [f"data.root={tiny_config.root}", *small_data(tiny_config), f"output_dir={tmp_path}/runs"]
    assert len(check_points(expand_grid([*data, *rest, f"classifier.pooling={pooling}"]))) == 1


def test_a_start_for_one_of_two_backbones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DataConfig, "load", lambda _: pytest.fail("data were read"))
    path = tmp_path / "mn04_im.pt"
    torch.save(BACKBONES.get("fmn04")().build().state_dict(), path)
    points = expand_grid(["backbone=fmn04,fmn06", f"backbone.init={path}", "seq=none", f"output_dir={tmp_path}/runs"])
    with pytest.raises(CheckpointError, match=rf"^backbone\.init={path} holds fmn04, the run's backbone is fmn06$"):
        check_points(points)


def test_data_with_one_content_in_two_places_are_one_training(tiny_config: SyntheticConfig, tmp_path: Path) -> None:
    tiny_config.load()
    moved = shutil.copytree(tiny_config.folder, tmp_path / "moved")
    points = expand_grid(["data=folder", f"data.root={tiny_config.folder},{moved}", "seq=none", "seed=0,1"])
    assert [point.config.seed for point in points] == [0, 1, 0, 1]
    checked = check_points(points)
    assert [(point.config.seed, point.config.data) for point in checked] == [
        (point.config.seed, point.config.data) for point in points[:2]
    ]
    assert len({point.folder for point in checked}) == 2


def test_what_a_finished_run_learnt_from_may_be_gone(tiny_config: SyntheticConfig, tmp_path: Path) -> None:
    typed = [f"data.root={tiny_config.root}", *small_data(tiny_config), "backbone=fmn04", "seq=none"]
    points = expand_grid([*typed, f"train.teacher={tmp_path}/gone.safetensors", f"output_dir={tmp_path}/runs"])
    with pytest.raises(CheckpointError, match=r"gone\.safetensors"):
        check_points(points)
    points[0].folder.mkdir(parents=True)
    (points[0].folder / RESULT_FILE).touch()
    assert [point.folder for point in check_points(points)] == [points[0].folder]
