"""A model through ExecuTorch gives PyTorch's scores, in one piece; damaged files and other shapes are refused."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from damage import spoil

import efficient_sed as es
from efficient_sed.errors import CheckpointError, ConfigError, MissingDependencyError, ShapeError
from efficient_sed.export.write import TOLERANCE, Exported, build_file, create_target, export_model
from efficient_sed.inference.engines.contract import open_engine
from efficient_sed.inference.exported_model import ExportedModel
from efficient_sed.inference.header import CLIP_SCORES, FRAME_SCORES, read_header
from efficient_sed.models.factory import settle_norms
from efficient_sed.models.sed import Provenance, SedModel

needs_executorch = pytest.mark.skipif(
    importlib.util.find_spec("executorch") is None, reason="the extra executorch is not installed"
)


def small_model(head: str) -> SedModel:
    """Few layers: each takes ExecuTorch a tenth of a second."""
    torch.manual_seed(0)
    model = settle_norms(es.create_model(f"crnn_cnn{head}", classes=["bell", "Hündin"])).eval()
    model.provenance = Provenance(clip_seconds=1.0, median_frames=7)
    return model


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    path = tmp_path_factory.mktemp("executorch") / "model.pte"
    return export_model(small_model(""), path, "small", target="executorch")


@needs_executorch
def test_it_gives_the_scores_of_pytorch(written: Exported, capfd: pytest.CaptureFixture[str]) -> None:
    assert written.max_difference <= TOLERANCE
    assert "batch 1 of 1 s" in written.lines()[0]
    assert written.lines()[-1].endswith("in one piece")
    detector, model = ExportedModel(written.path), small_model("")
    assert detector.classes == ["bell", "Hündin"]
    sound = 0.1 * torch.randn(1, model.grid.sample_rate, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = model.score_frames(sound)
    np.testing.assert_allclose(detector.score_frames(sound.numpy()), expected, rtol=0, atol=TOLERANCE)
    assert capfd.readouterr().err == ""
    with pytest.raises(ShapeError, match="at most"):
        detector.score_frames(np.zeros((1, 2 * model.grid.sample_rate), np.float32))


@needs_executorch
def test_another_header_leaves_the_scores(written: Exported) -> None:
    content = written.path.read_bytes()
    header = dataclasses.replace(written.header, model_name="a longer name than before", metric="psds1", score=0.5)
    engines = [
        open_engine(file, engine="executorch")
        for file in (content, create_target("executorch").with_header(content, header))
    ]
    assert [read_header(written.path, engine.metadata) for engine in engines] == [written.header, header]
    mel = small_model("").frontend(torch.randn(1, written.header.clip_samples)).numpy()
    scores = [engine.run([CLIP_SCORES, FRAME_SCORES], {"mel": mel}) for engine in engines]
    for ours, theirs in zip(*scores, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@needs_executorch
def test_engines_with_other_numbers_of_threads(written: Exported) -> None:
    first = open_engine(written.path, 1)
    mel = small_model("").frontend(torch.randn(1, written.header.clip_samples)).numpy()
    expected = first.run([FRAME_SCORES], {"mel": mel})[0]
    for engine in (open_engine(written.path, 2), first, open_engine(written.path, 1), first):
        np.testing.assert_allclose(engine.run([FRAME_SCORES], {"mel": mel})[0], expected, rtol=0, atol=1e-5)


@needs_executorch
def test_another_shape_is_refused(written: Exported) -> None:
    engine = open_engine(written.path)
    for shape in ((1, 1, 40, 10), (2, 1, 40, 100), (1, 1, 64, 100), (1, 40, 100)):
        with pytest.raises(ShapeError, match=r"^mel must have shape \(1, 1, 40, \d+\) for .*model.pte, got "):
            engine.run([CLIP_SCORES], {"mel": np.zeros(shape, np.float32)})


@needs_executorch
def test_a_damaged_file_is_refused(written: Exported, tmp_path: Path) -> None:
    content = written.path.read_bytes()
    for index, damaged in enumerate(
        [
            b"",
            b"no program" * 99,
            content[:100],
            content[:-9],
            content + b"more",
            spoil(content),
            spoil(content[:400]) + content[400:],
        ]
    ):
        path = tmp_path / f"{index}.pte"
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match="damaged or no ExecuTorch file"):
            open_engine(path)


@needs_executorch
@pytest.mark.long
def test_int8_is_near_float32(written: Exported) -> None:
    target, model, header = create_target("executorch"), small_model(""), written.header
    sounds = 0.1 * torch.randn(3, 1, header.clip_samples)
    clips = [model.frontend(sound).numpy() for sound in sounds]
    content = target.quantise(model, written.path.read_bytes(), "int8-all", iter(clips), header)
    assert len(content) < 0.5 * written.num_bytes
    exact, int8 = (
        open_engine(file, 1, "executorch").run([FRAME_SCORES], {"mel": clips[0]})[0]
        for file in (written.path.read_bytes(), content)
    )
    assert 0 < np.abs(exact - int8).max() < 0.1
    with pytest.raises(ConfigError, match="needs clips to calibrate with"):
        target.quantise(model, b"", "int8", iter([]), header)


def test_recurrent_layers_are_refused_at_once() -> None:
    model, target = small_model("+gru-8"), create_target("executorch")
    with pytest.raises(CheckpointError, match=r"^small is not exported: ExecuTorch unrolls its recurrent layer"):
        build_file(model, "small", target)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    wanted = r"needs the package executorch: pip install 'efficient-sed\[executorch\]'"
    with pytest.raises(MissingDependencyError, match=wanted):
        export_model(small_model(""), tmp_path / "model.pte", "small", target="executorch")
    with pytest.raises(MissingDependencyError, match=wanted):
        open_engine(tmp_path / "model.pte")
