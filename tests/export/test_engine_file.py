"""An engine for exported models gives a trained model's scores, from a file that is made once."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import efficient_sed as es
from efficient_sed.errors import CheckpointError, ConfigError
from efficient_sed.export import engine_file as module
from efficient_sed.export.engine_file import PAYS_FROM_S, choose_file, engine_file, open_model
from efficient_sed.inference.exported_model import ExportedModel
from efficient_sed.inference.torch_detector import TorchDetector
from efficient_sed.models.factory import settle_norms
from efficient_sed.models.sed import Provenance, SedModel
from efficient_sed.models.weights import checkpoint
from efficient_sed.registry import ENGINES, SEQUENCE_HEADS

TOLERANCE = 1e-5
DETECT = """
import sys
from efficient_sed.cli.main import main
status = main(sys.argv[1:])
print("torch" in sys.modules, status)
"""


def small_model(head: str = "none") -> SedModel:
    torch.manual_seed(0)
    has_size = "hidden" in {field.name for field in dataclasses.fields(SEQUENCE_HEADS.get(head))}
    name = "crnn_dws" + (f"+{head}-64" if has_size else "")
    model = settle_norms(es.create_model(name, classes=["bell", "siren"])).eval()
    model.provenance = Provenance(clip_seconds=2.0, median_frames=7)
    return model


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    es.save_model(small_model(), path)
    return path


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EFFICIENT_SED_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(module, "may_have_gpu", lambda: False)


@pytest.mark.parametrize("head", SEQUENCE_HEADS.names())
@pytest.mark.slow
def test_scores_of_every_head_at_any_length_and_batch(head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOLERANCE", 2 * TOLERANCE)  # random weights of a TCN enlarge what rounding does
    model = small_model(head)
    exported, reference = open_model(model, head, "onnxruntime"), TorchDetector(model)
    for seconds, batch in ((0.7, 1), (2.0, 3), (3.3, 2)):
        rng = np.random.default_rng(batch)
        sound = 0.1 * rng.standard_normal((batch, round(seconds * model.grid.sample_rate)), dtype=np.float32)
        difference = np.abs(exported.score_frames(sound) - reference.score_frames(sound)).max()
        assert difference <= 2 * TOLERANCE


@pytest.mark.parametrize("engine", [name for name in ENGINES.names() if ENGINES.get(name).is_exact])
def test_a_file_is_made_once(engine: str, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(ENGINES.get(engine).package.replace("-", "_"))
    path = engine_file(str(weights), engine)
    assert ExportedModel(path, engine=engine).classes == ["bell", "siren"]
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "load_model", lambda _: pytest.fail("loaded although the file is there"))
        assert engine_file(str(weights), engine) == path
    with monkeypatch.context() as patch:
        patch.setattr(module, "package_version", lambda _: "99.0")  # another version may round otherwise
        patch.setattr(module, "engine_content", lambda *_: b"another")
        assert engine_file(str(weights), engine).read_bytes() == b"another"
    assert len(list(path.parent.iterdir())) == 2  # no lock is left


def test_auto_takes_what_pays(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = str(weights)
    monkeypatch.setattr(module, "engine_content", lambda *_: b"a file")
    assert choose_file(name, "torch", PAYS_FROM_S) == (name, None)
    assert choose_file(name, "auto", PAYS_FROM_S - 1) == (name, None)
    path, engine = choose_file(name, "auto", PAYS_FROM_S)
    assert (Path(path).suffix, engine) == (".onnx", "onnxruntime")
    assert choose_file(name, "auto", 1.0) == (path, engine)  # since it is there
    assert choose_file(path, "auto") == (path, None)
    assert choose_file(path, "openvino") == (path, "openvino")
    monkeypatch.setattr(module, "may_have_gpu", lambda: True)
    assert choose_file(name, "auto", PAYS_FROM_S) == (name, None)
    monkeypatch.setattr(module, "may_have_gpu", lambda: False)
    monkeypatch.setattr(module, "package_version", lambda _: None)
    assert choose_file(name, "auto", PAYS_FROM_S) == (name, None)


def test_other_scores_are_not_taken(
    weights: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "TOLERANCE", -1.0)
    assert choose_file(str(weights), "auto", PAYS_FROM_S) == (str(weights), None)
    assert "PyTorch computes the scores: " in caplog.text
    with pytest.raises(CheckpointError, match="onnxruntime differs from PyTorch by "):
        choose_file(str(weights), "onnxruntime")


@pytest.mark.parametrize(
    ("name", "engine", "message"),
    [
        ("m.onnx", "torch", "torch runs no exported models, and m.onnx is one; name another engine, or none"),
        ("fmn04_synthetic", "tvm", "unknown engine 'tvm'; "),
        ("fmn04+tf-128_synthetic", "openvino-bf16", "engine=openvino-bf16 is not allowed: it rounds scores more"),
        ("fmn04_synthetic", "onnxruntime", "the model was trained on clip labels only"),
    ],
)
def test_what_cannot_be_run(name: str, engine: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        choose_file(name, engine)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["absent.safetensors", "fmn04_strnog"])
def test_weights_that_are_not_there(name: str) -> None:
    with pytest.raises(CheckpointError):
        choose_file(name, "onnxruntime")
    assert choose_file(name, "auto", PAYS_FROM_S) == (name, None)  # whose opening raises the error


def test_the_second_start_needs_no_torch(weights: Path, tmp_path: Path) -> None:
    sound = 0.1 * np.random.default_rng(0).standard_normal(48_000)
    soundfile.write(tmp_path / "a.wav", sound, 16_000)
    words = ["detect", str(tmp_path / "a.wav"), "--model", str(weights), "--threshold", "0.01", "--format", "tsv"]
    engine_file(str(weights), "onnxruntime")
    done = subprocess.run([sys.executable, "-c", DETECT, *words], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False 0"
    assert "efficient-sed: onnxruntime computes the scores" in done.stderr
