"""`efficient-sed train`, and what its runs are used for: `evaluate` and `plot`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from command import Run

from efficient_sed.errors import DataError


@pytest.mark.parametrize(
    "typed",
    [
        "{tiny} backbone=fmn06 backbone.init={model}",
        "{tiny} train.precision=16-mixed train.accelerator=cpu",
        "{tiny} train.teacher={model}",
    ],
)
def test_a_failed_start_leaves_no_folder(run: Run, typed: str) -> None:
    assert run(f"train {typed} output_dir=new/runs train.epochs=1 --quiet").status == 2
    assert not Path("new").exists()


@pytest.mark.parametrize("before", [None, "0,1"])
def test_gpus_are_hidden_while_it_trains_on_a_cpu(
    before: str | None, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str | None] = []

    def look(*_: Any, **__: Any) -> None:
        seen.append(os.environ.get("CUDA_VISIBLE_DEVICES"))
        raise DataError("enough seen")

    monkeypatch.setattr("efficient_sed.experiment.run.run_experiment", look)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if before is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
    assert run("train backbone=fmn04 train.accelerator=cpu").status == 2
    assert (seen, os.environ.get("CUDA_VISIBLE_DEVICES")) == ([""], before)


def test_show_config(run: Run) -> None:
    status, out, err = run("train seq=gru --show-config seq.hidden=64 train.epochs=7")
    config = json.loads(out)
    assert (status, err) == (0, "")
    assert config["seq"] == {"name": "gru", "hidden": 64, "num_layers": 2, "dropout": 0.0}
    assert config["train"]["epochs"] == 7


def test_train_evaluate_plot(run: Run, tmp_path: Path) -> None:
    typed = (
        "train {tiny} backbone=fmn04 seq=none train.epochs=1 train.batch_size=4 train.accelerator=cpu "
        "benchmark.repeats=3 benchmark.batches=[1] benchmark.seconds=1 --quiet"
    )
    status, out, _ = run(typed)
    assert status == 0
    assert "fmn04" in out
    (folder,) = (tmp_path / "runs").iterdir()
    assert f"everything about this run: runs/{folder.name}" in out
    result = json.loads((folder / "result.json").read_text())
    status, out, _ = run(f"evaluate {folder}/model.safetensors {{tiny}} train.batch_size=2")
    assert status == 0
    assert json.loads(out) == {
        "model": f"{folder}/model.safetensors",
        "part": "test",
        "data": result["data"],
        **result["metrics"],
    }
    assert json.loads(run(f"evaluate {folder}/best.ckpt {{tiny}} --part validation").out)["part"] == "validation"
    status, out, _ = run("plot")
    assert status == 0
    assert "fmn04" in out
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == [
        "frontier.csv",
        "frontier.html",
        "frontier.png",
        "frontier.svg",
    ]
    status, _, err = run(f"plot --output {folder}/result.json/frontier.png")
    assert status == 2
    assert err.count("\n") == 1
