"""The preset `tiny` within its limits, and its file: int8, without names, with the scores of the quantised model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from efficient_sed.benchmark.macs import count_macs
from efficient_sed.cli.main import main
from efficient_sed.data.sounds import SOUND_CLASSES
from efficient_sed.experiment.compose import compose_run
from efficient_sed.export.quantise import quantise
from efficient_sed.export.smallest import make_smallest
from efficient_sed.export.targets.onnx import OnnxTarget
from efficient_sed.export.write import build_file
from efficient_sed.inference.header import CLIP_SCORES, FRAME_SCORES
from efficient_sed.models.factory import settle_norms
from efficient_sed.models.sed import ModelSpec, Provenance, SedModel
from efficient_sed.models.weights.checkpoint import save_model

MOST_BYTES, MOST_MACS = 128_000, 30_000_000
FEW = ["data=synthetic", "data.num_train=4", "data.num_validation=1", "data.num_test=2", "data.num_workers=0"]


@pytest.fixture(scope="module")
def model() -> SedModel:
    torch.manual_seed(0)
    config = compose_run(["experiment=tiny"])
    model = settle_norms(SedModel(ModelSpec(config.backbone, config.seq, tuple(SOUND_CLASSES)))).eval()
    model.provenance = Provenance(3.0, 1)
    return model


def spectrograms(model: SedModel) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    sounds = (torch.from_numpy((0.1 * rng.standard_normal((1, 16_000))).astype(np.float32)) for _ in range(4))
    with torch.no_grad():
        return [model.frontend(sound).numpy() for sound in sounds]


def scores(data: bytes, mel: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run([FRAME_SCORES, CLIP_SCORES], {"mel": mel})


def test_macs_with_the_front_end(model: SedModel) -> None:
    report = count_macs(model, 10.0)
    assert report.total + report.by_part["frontend"] <= MOST_MACS


@pytest.mark.slow
def test_the_preset_s_file(
    model: SedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save_model(model, Path("tiny.safetensors"))
    command = ["export", "tiny.safetensors", *FEW, "data.scene_seconds=3", "data.clip_seconds=3", "--format", "onnx"]
    assert main([*command, "--input", "mel", "--precision", "int8-small", "--output", "tiny.onnx"]) == 0
    assert Path("tiny.onnx").stat().st_size <= MOST_BYTES
    capsys.readouterr()
    assert main(["benchmark", "tiny.onnx", "--threads", "1"]) == 0
    assert "self-test" in capsys.readouterr().out


@pytest.mark.slow
def test_names_and_matrices(model: SedModel) -> None:
    mel = spectrograms(model)
    exact = build_file(model, "tiny", OnnxTarget(), "mel")[1]
    int8 = quantise(exact, "int8", mel, "mel")
    small = make_smallest(int8)
    assert len(small) < len(int8) / 3
    graph = onnx.load_from_string(small).graph
    onnx.checker.check_model(onnx.load_from_string(small))
    assert not any(node.name for node in graph.node)
    assert not graph.value_info
    matrices = [weight for weight in graph.initializer if len(weight.dims) > 1 and np.prod(weight.dims) >= 256]
    assert {weight.data_type for weight in matrices} == {onnx.TensorProto.INT8}
    for ours, theirs in zip(scores(small, mel[0]), scores(int8, mel[0]), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=0.02)
