"""An exported file runs without PyTorch, and another file is refused in one line."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile
import torch

import efficient_sed as es
from efficient_sed.config.evaluation import EvaluationConfig
from efficient_sed.data.dataset import EvaluationWindows
from efficient_sed.data.events import Clip
from efficient_sed.data.storage.sources import AudioFile
from efficient_sed.errors import CheckpointError, MissingDependencyError
from efficient_sed.export.write import export_model
from efficient_sed.inference.engines.contract import open_engine
from efficient_sed.inference.evaluate import evaluate_model
from efficient_sed.inference.exported_model import ExportedModel
from efficient_sed.models.sed import Provenance, SedModel
from efficient_sed.postprocessing.carried import Postprocessing

ALONE = """
import json, sys
import numpy as np
from efficient_sed.inference.exported_model import ExportedModel
model = ExportedModel({path!r}, num_threads=1)
scores = model.score_frames(np.load({waveform!r}))
imported = [name for name in ("torch", "torchaudio", "onnx", "scipy", "hydra") if name in sys.modules]
print(json.dumps([scores.tolist(), model.grid.hop_s, imported]))
"""


@pytest.fixture(scope="module")
def model() -> SedModel:
    torch.manual_seed(0)
    model = es.create_model("fmn04", classes=["dog", "siren"]).eval()
    model.provenance = Provenance(clip_seconds=1.0)
    return model


@pytest.fixture(scope="module")
def exported(model: SedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_model(model, tmp_path_factory.mktemp("onnx") / "model.onnx", "fmn04").path


def test_pytorch_is_not_imported(model: SedModel, exported: Path, tmp_path: Path) -> None:
    waveform = np.random.default_rng(0).normal(size=(2, 20_000)).astype(np.float32)
    np.save(tmp_path / "waveform.npy", waveform)
    code = ALONE.format(path=str(exported), waveform=str(tmp_path / "waveform.npy"))
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    scores, hop_s, imported = json.loads(run.stdout)
    assert (hop_s, imported, run.stderr) == (0.04, [], "")
    np.testing.assert_allclose(scores, model.score_frames(torch.from_numpy(waveform)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(16_000,), (1, 257), (1, 1, 16_000)])
def test_waveforms_of_another_shape(exported: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ValueError, match=r"waveform must have shape \(batch, samples\) with at least 258 samples, got \("
    ):
        ExportedModel(exported).score_frames(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("waveform", "given"),
    [
        (np.ones((1, 8000), np.int16), "int16; scale them by x / 32768"),
        (torch.zeros(1, 8000), "torch.Tensor; give x.cpu().numpy()"),
        ([[0.0] * 8000], "list"),
    ],
)
def test_waveforms_of_another_type(exported: Path, waveform: Any, given: str) -> None:
    with pytest.raises(TypeError) as caught:
        ExportedModel(exported).score_frames(waveform)
    wanted = "waveform must be float32 in [-1, 1], a numpy.ndarray of shape (batch, samples), got"
    assert str(caught.value) == f"{wanted} {given}"


def test_other_numbers_are_taken_as_float32(exported: Path) -> None:
    waveform = np.linspace(-0.5, 0.5, 8000)[None]
    np.testing.assert_array_equal(
        ExportedModel(exported).score_frames(waveform),
        ExportedModel(exported).score_frames(waveform.astype(np.float32)),
    )


def change(source: Path, target: Path, metadata: dict[str, str | None]) -> Path:
    """A copy with other metadata; None: without the key."""
    graph = onnx.load(source)
    values = {entry.key: entry.value for entry in graph.metadata_props} | metadata
    del graph.metadata_props[:]
    onnx.helper.set_model_props(graph, {key: value for key, value in values.items() if value is not None})
    onnx.save(graph, target)
    return target


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"format": None}, "has no metadata of this package; make it by: efficient-sed export MODEL --format FORMAT"),
        (
            {"format": "efficient_sed_onnx/1"},
            "format 'efficient_sed_onnx/1' is not known here; this version reads efficient_sed/2; make it again by: "
            "efficient-sed export MODEL --format FORMAT",
        ),
        ({"classes": None}, "its metadata does not describe a model of this version (metadata.classes is missing"),
        ({"classes": "dog"}, "its metadata does not describe a model of this version (Expecting value"),
        (
            {"stride": "4.5"},
            "its metadata does not describe a model of this version (metadata.stride=4.5 must be a whole number)",
        ),
        ({"postprocessing": '{"thresholds": [0.5]}'}, "thresholds=1 values is not allowed: one for each of 2 classes"),
        ({"input": "mel"}, "(metadata.frontend={} is not allowed: steps with mel, else none)"),
    ],
    ids=lambda value: next(iter(value.items())) if isinstance(value, dict) else "",
)
def test_files_of_others(exported: Path, tmp_path: Path, metadata: dict[str, str | None], words: str) -> None:
    path = change(exported, tmp_path / "changed.onnx", metadata)
    with pytest.raises(CheckpointError) as caught:
        ExportedModel(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_metadata_of_other_versions(exported: Path, tmp_path: Path) -> None:
    other = ExportedModel(change(exported, tmp_path / "more.onnx", {"author": "me", "postprocessing": None}))
    assert (other.classes, other.postprocessing) == (["dog", "siren"], Postprocessing.untuned(9))


@pytest.mark.parametrize("content", [b"", b"no graph" * 100, None], ids=["empty", "text", "cut"])
def test_damaged_files(
    exported: Path, tmp_path: Path, content: bytes | None, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "damaged.onnx"
    path.write_bytes(exported.read_bytes()[:100_000] if content is None else content)
    with pytest.raises(CheckpointError) as caught:
        ExportedModel(path)
    assert str(caught.value).startswith(f"{path}: onnxruntime cannot read it, damaged or no ONNX file (")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"absent\.onnx: no such file"):
        ExportedModel(tmp_path / "absent.onnx")


def test_without_onnxruntime(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(
        MissingDependencyError, match=r"needs the package onnxruntime: pip install 'efficient-sed\[onnx\]'"
    ):
        ExportedModel(exported)


def test_scores_that_are_no_numbers_are_named(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = onnx.load(exported)
    bias = next(item for item in graph.graph.initializer if list(item.dims) == [2])
    bias.CopyFrom(onnx.numpy_helper.from_array(np.array([0, np.nan], np.float32), bias.name))
    onnx.save(graph, tmp_path / "bad.onnx")
    problem = "damaged: a score of class 'siren' is not a finite number (nan in frame 0"
    with pytest.raises(CheckpointError) as caught:
        ExportedModel(tmp_path / "bad.onnx")
    assert str(caught.value) == f"{tmp_path / 'bad.onnx'}: {problem})"
    bad = ExportedModel(exported)
    monkeypatch.setattr(bad, "session", open_engine(tmp_path / "bad.onnx"))
    problem = f"{exported}: {problem}"
    with pytest.raises(CheckpointError) as caught:
        bad.score_frames(np.zeros((2, 8000), np.float32))
    assert str(caught.value) == f"{problem} of clip 0)"
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 16_000)
    with pytest.raises(CheckpointError) as caught:
        es.detect(tmp_path / "a.wav", model=bad)
    assert str(caught.value) == f"{tmp_path / 'a.wav'}: {problem})"
    windows = EvaluationWindows([Clip("a", AudioFile(tmp_path / "a.wav"), 0.5, ())], bad.classes, bad.grid, 1)
    with pytest.raises(CheckpointError) as caught:
        evaluate_model(
            bad,
            windows,
            task="detection",
            config=EvaluationConfig(),
            median_frames=1,
            batch_size=4,
            num_workers=0,
            on_error="raise",
        )
    assert str(caught.value) == f"clip 'a': {problem})"
