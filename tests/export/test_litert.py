"""TensorFlow Lite files: PyTorch's scores, their header, fewer bits, and what is said of files that cannot be run."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import efficient_sed as es
from efficient_sed.cli.main import main
from efficient_sed.errors import CheckpointError, ConfigError, MissingDependencyError
from efficient_sed.export.targets.litert import LiteRtTarget
from efficient_sed.export.write import TOLERANCE, export_model
from efficient_sed.files.appended import append_text
from efficient_sed.inference.engines.contract import open_engine
from efficient_sed.inference.exported_model import ExportedModel
from efficient_sed.inference.header import CLIP_SCORES, FRAME_SCORES
from efficient_sed.models.contracts import Backbone
from efficient_sed.models.factory import settle_norms
from efficient_sed.models.sed import Provenance, SedModel

needs_litert = pytest.mark.skipif(
    any(importlib.util.find_spec(package) is None for package in LiteRtTarget.packages), reason="needs litert-torch"
)
SHAPE = (1, 1, 128, 100)


class OneConvolution(Backbone):
    """Converted in a second, where a whole network takes twenty."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.out_dim, self.time_stride = backbone.out_dim, backbone.time_stride
        self.conv = nn.Conv2d(1, self.out_dim, (128, 3), (1, 4), (0, 1))

    def forward(self, mel: Tensor) -> Tensor:
        return self.conv(mel).squeeze(2).transpose(1, 2)

    def stages(self) -> list[nn.Module]:
        return [self.conv]


@pytest.fixture(scope="module")
def model() -> SedModel:
    torch.manual_seed(0)
    model = es.create_model("fmn04", classes=["Hündin", "siren"])
    model.backbone = OneConvolution(model.backbone)
    model.provenance = Provenance(clip_seconds=1.0, median_frames=7)
    return settle_norms(model).eval()


@pytest.fixture(scope="module")
def exported(model: SedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_model(model, tmp_path_factory.mktemp("litert") / "model.tflite", "mine", target="litert").path


@needs_litert
def test_the_scores_of_pytorch(exported: Path, model: SedModel, capfd: pytest.CaptureFixture[str]) -> None:
    detector = ExportedModel(exported)
    assert detector.engine.startswith("litert ")
    assert detector.self_test_difference < 1e-3
    sound = (0.1 * np.random.default_rng(0).standard_normal((2, 16_000))).astype(np.float32)
    expected = model.score_frames(torch.from_numpy(sound))
    np.testing.assert_allclose(detector.score_frames(sound), expected, rtol=0, atol=TOLERANCE)
    assert capfd.readouterr() == ("", "")


@needs_litert
def test_the_header_is_in_an_archive(exported: Path) -> None:
    with zipfile.ZipFile(exported) as archive:
        assert archive.namelist() == ["efficient_sed.json"]
        header = json.loads(archive.read("efficient_sed.json"))
    assert (header["classes"], header["fixed_samples"], header["input"]) == (["Hündin", "siren"], 16_000, "mel")
    assert header["frontend"]["steps"][0]["step"] == "PreEmphasis"


@needs_litert
def test_fewer_bits(exported: Path, model: SedModel) -> None:
    content, header = exported.read_bytes(), ExportedModel(exported).header
    clips = [np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32) for seed in range(3)]
    exact = open_engine(exported).run([FRAME_SCORES, CLIP_SCORES], {"mel": clips[0]})
    for precision in LiteRtTarget.precisions.keys() - {"fp32"}:
        fewer = LiteRtTarget().quantise(model, content, precision, clips, header)
        assert len(fewer) < 0.65 * len(content)
        found = open_engine(fewer, engine="litert").run([FRAME_SCORES, CLIP_SCORES], {"mel": clips[0]})
        for ours, expected in zip(found, exact, strict=True):
            assert ours.dtype == np.float32
            assert 0 < np.abs(ours - expected).max() < (0.005 if precision == "fp16" else 0.1)
    with pytest.raises(ConfigError, match=r"^int8 needs clips to calibrate with"):
        LiteRtTarget().quantise(model, content, "int8", [], header)


@needs_litert
def test_a_spectrogram_of_another_shape(exported: Path) -> None:
    engine = open_engine(exported)
    for shape in ((1, 1, 128, 99), (2, 1, 128, 100), (1, 128, 100)):
        with pytest.raises(CheckpointError, match=r"it takes .*\(1, 1, 128, 100\)"):
            engine.run([FRAME_SCORES], {"mel": np.zeros(shape, np.float32)})
    with pytest.raises(CheckpointError, match="it has no output logits"):
        engine.run(["logits"], {"mel": np.zeros(SHAPE, np.float32)})


@needs_litert
def test_damaged_files(exported: Path, tmp_path: Path) -> None:
    content, path = exported.read_bytes(), tmp_path / "model.tflite"
    not_json = append_text(content, "efficient_sed.json", "[")
    for damaged in (b"", b"no model", content[: len(content) // 2], not_json):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError) as caught:
            ExportedModel(path)
        assert str(caught.value).startswith(f"{path}: litert cannot read it, damaged or no TensorFlow Lite file (")
    path.write_bytes(content[:-30])
    with pytest.raises(CheckpointError, match="has no metadata of this package"):
        ExportedModel(path)


@needs_litert
def test_a_recurrent_head(tmp_path: Path) -> None:
    recurrent = es.create_model("fmn04+gru-16", num_classes=2)
    recurrent.provenance = dataclasses.replace(recurrent.provenance, clip_seconds=1.0)
    with pytest.raises(CheckpointError, match="mine is not exported: litert-torch unrolls its recurrent layer"):
        export_model(recurrent, tmp_path / "model.tflite", "mine", target="litert")
    assert list(tmp_path.iterdir()) == []


def test_without_its_packages(tmp_path: Path, model: SedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"litert_torch: pip install .*\[litert-export\]"):
        export_model(model, tmp_path / "model.tflite", "mine", target="litert")
    with pytest.raises(MissingDependencyError, match=r"ai_edge_litert: pip install .*\[litert\]"):
        open_engine(b"", engine="litert")


def test_samples_are_not_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed = ["--format", "litert", "--input", "waveform", "--output", str(tmp_path / "model.tflite")]
    assert main(["export", "fmn04+tf-128_synthetic", *typed]) == 2
    err = capsys.readouterr().err
    assert "--input waveform is not allowed: mel with --format litert" in err or "needs the package" in err
