"""A grid whose starting points do not fit stops before its first run, and before any data are made."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from efficient_sed.config.schema import DataConfig
from efficient_sed.data.synthetic import SyntheticConfig
from efficient_sed.errors import CheckpointError, ConfigError, DataError
from efficient_sed.registry import BACKBONES
from efficient_sed.sweep.grid import expand_grid
from efficient_sed.sweep.preflight import check_points


def test_each_start_is_tried_once(tiny_config: SyntheticConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "mn04_im.pt"
    torch.save(BACKBONES.get("fmn04")().build().state_dict(), path)
    data = [f"data.root={tiny_config.root}", "data.num_train=8", "data.num_validation=4", "data.num_test=4", "data.scene_seconds=3", "data.clip_seconds=3"]
    with caplog.at_level(logging.INFO):
        check_points(expand_grid([*data, "backbone=fmn04", f"backbone.init={path}", "seq=none", "seed=0,1", f"output_dir={tmp_path}/runs"]))
    assert len([message for message in caplog.messages if message.startswith(f"fmn04 starts from {path}: ")]) == 1


def test_teachers_are_tried(tiny_config: SyntheticConfig, tmp_path: Path) -> None:
    data = [f"data.root={tiny_config.root}", "data.num_train=8", "data.num_validation=4", "data.num_test=4", "data.scene_seconds=3", "data.clip_seconds=3"]
    rest = ["backbone=fmn04", "seq=none", f"output_dir={tmp_path}/runs"]
    for option, error, message in (
        ("train.teacher=fmn04_synthetic", ConfigError, "^teacher fmn04_synthetic: was trained on clip labels only"),
        (f"data.pseudo_labels={tmp_path}/absent.h5", DataError, r"^data\.pseudo_labels=.*absent\.h5: no such file$"),
    ):
        with pytest.raises(error, match=message):
            check_points(expand_grid([*data, *rest, option]))


def test_a_start_for_one_of_two_backbones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DataConfig, "load", lambda _: pytest.fail("data were read"))
    path = tmp_path / "mn04_im.pt"
    torch.save(BACKBONES.get("fmn04")().build().state_dict(), path)
    points = expand_grid(["backbone=fmn04,fmn06", f"backbone.init={path}", "seq=none", f"output_dir={tmp_path}/runs"])
    with pytest.raises(CheckpointError, match=rf"^backbone\.init={path} holds fmn04, the run's backbone is fmn06$"):
        check_points(points)
