"""`efficient-sed tune`: what is written, who takes it, and what is typed wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import efficient_sed as es
from efficient_sed.cli.main import main
from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.postprocessing.file import read_postprocessing

MODEL = "fmn04+tf-128_synthetic"


@pytest.fixture
def data(tiny_config: SyntheticConfig) -> list[str]:
    keys = ("root", "num_train", "num_validation", "num_test", "scene_seconds", "clip_seconds", "num_workers")
    return ["data=synthetic", *(f"data.{key}={getattr(tiny_config, key)}" for key in keys)]


@pytest.mark.usefixtures("tiny_data")
def test_parameters_and_model(data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = ["evaluation.event_postprocessing=median", "evaluation.min_events=1"]
    parameters, tuned = tmp_path / "tuned.json", tmp_path / "tuned.safetensors"
    assert main(["tune", MODEL, *data, *few, "--output", str(parameters)]) == 0
    assert "event F1 macro" in capsys.readouterr().out
    assert main(["tune", MODEL, *data, *few, "--output", str(tuned)]) == 0
    before, after = es.load_model(MODEL), es.load_model(str(tuned))
    stored, held = after.provenance.postprocessing, read_postprocessing(parameters)
    assert stored == held.postprocessing.to_dict()
    assert stored["notes"]["part"] == "validation"
    assert after.provenance.notes == before.provenance.notes
    for (name, one), other in zip(before.state_dict().items(), after.state_dict().values(), strict=True):
        assert np.array_equal(one.numpy(), other.numpy()), name
    capsys.readouterr()
    assert main(["evaluate", str(tuned), *data]) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert result["gain_of_tuning"]["scores"]["metric"] == "psds1_macro"
    assert "tuned.safetensors, by class" in printed.err
    assert "PSDS1 tuned" in printed.err


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["--output", "tuned.txt"], "--output tuned.txt is not allowed: a file that ends in .json or .safetensors"),
        (["seq=tf"], "seq=tf: tune takes the model as it is; allowed: data=…"),
        (["task=tagging"], "task=tagging is not allowed: tune chooses post-processing of detections"),
        (["evaluation.tune=none"], "evaluation.tune=none is not allowed"),
        (["evaluation.tune=psds3"], "evaluation.tune='psds3' is not allowed; did you mean 'psds2'"),
        (["evaluation.postprocessing=medain"], "unknown post-processing method 'medain'; did you mean 'median'"),
        (["evaluation.tune_folds=1"], "evaluation.tune_folds=1 is not allowed: 2 to 20"),
        (["--engine", "onnxrntime"], "--engine onnxrntime is not allowed: did you mean 'onnxruntime'? allowed: auto, "),
    ],
)
def test_mistakes(
    typed: list[str],
    message: str,
    data: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    before = list(tmp_path.iterdir())
    assert main(["tune", MODEL, *data, *typed]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == before


@pytest.mark.usefixtures("tiny_data")
def test_nothing_is_replaced(data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "notes.json"
    path.write_text("mine")
    assert main(["tune", MODEL, *data, "--output", str(path)]) == 2
    assert f"--output {path}: is there already; --overwrite replaces it" in capsys.readouterr().err
    assert path.read_text() == "mine"
