"""A file that is kept is right at any length and batch, for every front end; others are not kept."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor

import efficient_sed as es
from efficient_sed.cli.main import main
from efficient_sed.errors import CheckpointError, ConfigError
from efficient_sed.export.targets.onnx import OnnxTarget
from efficient_sed.export.write import TOLERANCE, export_model
from efficient_sed.inference.exported_model import ExportedModel
from efficient_sed.inference.header import InputKind
from efficient_sed.models.factory import settle_norms
from efficient_sed.models.sed import Provenance, SedModel
from efficient_sed.models.sequence import _scan

CLASSES = ["bell", "Hündin", "siren"]
SHORT = Provenance(clip_seconds=1.0, median_frames=7)


@torch.no_grad()
def random_model(name: str, provenance: Provenance = SHORT) -> SedModel:
    """Its BatchNorm knows noise; its logits are small, since random layers multiply rounding more than trained ones."""
    torch.manual_seed(0)
    model = settle_norms(es.create_model(name, classes=CLASSES)).eval()
    output = model(torch.randn(1, 1, model.frontend.mel_bins, 300))
    for layer in [module for module in model.classifier.modules() if isinstance(module, torch.nn.Linear)]:
        layer.weight /= output.frame_logits.abs().max()
    model.provenance = provenance
    return model


def noise(batch: int, samples: int) -> Tensor:
    return 0.1 * torch.randn(batch, samples, generator=torch.Generator().manual_seed(samples))


@pytest.mark.parametrize("name", ["fmn04", "dnd-dws", "prinzivalle-baseline", "erann1"])
def test_waveforms_of_any_front_end(name: str, tmp_path: Path) -> None:
    model = random_model(name)
    written = export_model(model, tmp_path / "model.onnx", name)
    detector = ExportedModel(written.path)
    assert detector.classes == CLASSES
    assert detector.grid == model.grid
    assert (detector.clip_seconds, detector.median_frames, detector.task, detector.threshold) == (
        1.0,
        7,
        "detection",
        0.5,
    )
    for samples in (detector.header.min_samples, 2 * model.grid.sample_rate + 333):
        waveform = noise(2, samples)
        scores = detector.score_frames(waveform.numpy())
        assert scores.shape == (2, model.grid.num_frames(samples), len(CLASSES))
        np.testing.assert_allclose(scores, model.score_frames(waveform), rtol=0, atol=TOLERANCE)
        with torch.inference_mode():
            np.testing.assert_allclose(
                detector.score_clips(waveform.numpy()),
                model(model.frontend(waveform)).clip_logits.sigmoid(),
                rtol=0,
                atol=TOLERANCE,
            )


@pytest.mark.slow
def test_a_vision_network(tmp_path: Path) -> None:
    model = random_model("convnext_tiny", Provenance(clip_seconds=2.0))
    scores = ExportedModel(export_model(model, tmp_path / "model.onnx", "mine").path).score_frames(
        noise(1, 64_000).numpy()
    )
    np.testing.assert_allclose(scores, model.score_frames(noise(1, 64_000)), rtol=0, atol=TOLERANCE)


@pytest.mark.slow
def test_a_transformer(tmp_path: Path) -> None:
    """Of the five m2d alone, which takes longer audio in pieces: its file takes no more than one."""
    model = random_model("m2d")
    written = export_model(model, tmp_path / "model.onnx", "mine")
    assert ": waveform to scores, any batch and up to 10 s, opset" in written.lines()[0]
    detector = ExportedModel(written.path)
    for seconds in (0.3, 3.7, 10.0):
        waveform = noise(2, round(16_000 * seconds))
        np.testing.assert_allclose(
            detector.score_frames(waveform.numpy()), model.score_frames(waveform), rtol=0, atol=TOLERANCE
        )
    with pytest.raises(
        ValueError, match=r"^waveform must have at most 160000 samples, got 160001; score longer audio in windows$"
    ):
        detector.score_frames(noise(1, 160_001).numpy())


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    path = export_model(random_model("fmn04"), tmp_path / "model.onnx", "mine", input_kind="mel").path
    graph = onnx.load(path)
    onnx.checker.check_model(graph, full_check=True)
    assert [opset.version for opset in graph.opset_import] == [OnnxTarget.opset]
    metadata = {entry.key: entry.value for entry in graph.metadata_props}
    assert metadata["format"] == "efficient_sed/2"
    assert metadata["classes"] == '["bell", "Hündin", "siren"]'
    assert metadata["opset"] == str(OnnxTarget.opset)
    assert metadata["threshold"] == "0.5"
    assert metadata["efficient_sed_version"] == es.__version__
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in [*graph.graph.input, *graph.graph.output]
    }
    assert shapes == {
        "mel": ["batch", 1, 128, "mel_frames"],
        "frame_scores": ["batch", 3, "frames"],
        "clip_scores": ["batch", 3],
    }


def test_the_model_stays_as_it_is(tmp_path: Path) -> None:
    model = random_model("fmn04").train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    export_model(model, tmp_path / "model.onnx", "mine", input_kind="mel")
    assert model.training
    assert not model.is_fused
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_other_scores_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_scan, "blockwise_scan", lambda *tensors: tensors[1])
    with pytest.raises(
        CheckpointError, match=r"mine is not exported: its file differs from PyTorch by \S+ in a score; at most 0.0001"
    ):
        export_model(random_model("fmn04+mingru-64"), tmp_path / "model.onnx", "mine", input_kind="mel")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_holds_for_one_length_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    model = random_model("fmn04")
    monkeypatch.setattr(
        type(model.sequence), "forward", lambda _, features: features + torch.zeros(int(features.shape[1]), 1)
    )
    with pytest.raises(CheckpointError, match="mine is not exported: its file fails at another length or batch"):
        export_model(model, tmp_path / "model.onnx", "mine", input_kind="mel")
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_scores_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    model = random_model("fmn04")
    torch.nn.init.constant_(model.classifier.strong.bias, torch.nan)  # type: ignore[arg-type, union-attr]
    with pytest.raises(CheckpointError, match="differs from PyTorch by nan"):
        export_model(model, tmp_path / "model.onnx", "mine", input_kind="mel")
    assert list(tmp_path.iterdir()) == []


def test_an_operation_that_onnx_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    model = random_model("fmn04")
    monkeypatch.setattr(type(model.sequence), "forward", lambda _, features: features.logcumsumexp(1))
    with pytest.raises(
        CheckpointError, match=r"mine is not exported: it has an operation that ONNX lacks \(.*logcumsumexp"
    ):
        export_model(model, tmp_path / "model.onnx", "mine", input_kind="mel")
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_an_input_of_another_kind(tmp_path: Path) -> None:
    kind: InputKind = "spectrum"  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="--input spectrum is not allowed: waveform or mel with --format onnx"):
        export_model(random_model("fmn04"), tmp_path / "model.onnx", "mine", input_kind=kind)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Paths that the tables below speak of."""
    folder = tmp_path_factory.mktemp("export")
    es.save_model(random_model("fmn04"), folder / "model.safetensors")
    (folder / "there.onnx").write_text("mine")
    return {"d": str(folder), "model": f"{folder}/model.safetensors"}


def test_the_command(
    here: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", here["model"], "--format", "onnx"]) == 0
    out = capsys.readouterr().out
    assert re.fullmatch(
        r"wrote model\.onnx: waveform to scores, any batch and length, opset 17, \d\.\d MB\n"
        r"largest difference from PyTorch: \d\.\de-\d\d .*\n"
        r"for onnxruntime and openvino, on PCs .*: efficient-sed detect RECORDING --model model\.onnx\n",
        out,
    )
    assert ExportedModel("model.onnx").header.model_name == "fmn04"
    assert main(["export", here["model"], "--format", "onnx"]) == 2
    assert main(["export", here["model"], "--format", "onnx", "--force", "--input", "mel"]) == 0
    assert "mel to scores" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_a_tagging_model_says_which_scores_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    es.save_model(random_model("fmn04", Provenance(clip_seconds=1.0, task="tagging")), tmp_path / "tagger.safetensors")
    assert (
        main(
            [
                "export",
                str(tmp_path / "tagger.safetensors"),
                "--format",
                "onnx",
                "--output",
                str(tmp_path / "new" / "tagger.onnx"),
            ]
        )
        == 0
    )
    assert "trained for tagging: clip_scores count, frame_scores are untrained" in capsys.readouterr().out
    assert ExportedModel(tmp_path / "new" / "tagger.onnx").task == "tagging"


BAD = [
    (
        "{model} --format onnx --output {d}/there.onnx",
        "{d}/there.onnx: is there already; give another name, or --force to overwrite it",
    ),
    ("{model} --format onnx --output x.pb", "x.pb: onnx files are known by their ending; name it x.onnx"),
    ("{model} --format onnx --output {d}/there.onnx/x.onnx", "{d}/there.onnx/x.onnx: cannot be written"),
    ("{d}/absent.safetensors --format onnx", "{d}/absent.safetensors: no such checkpoint file"),
    ("{model}", "--format is missing: what kind of file, one of "),
    ("{model} --precision int8 data=synthetic", "--format is missing: what kind of file, one of "),
    ("{model} --format onx", "unknown export format 'onx'; did you mean 'onnx'?"),
    ("{model} --format onnx,web --precision fp32 data=synthetic", "--precision fp32 is not for --format web"),
    ("fmn04+tf-64 --format onnx", "'fmn04+tf-64' names no weights: give a file"),
    ("fmn04_stronk --format onnx", "no released weights are called 'fmn04_stronk'"),
]


@pytest.mark.parametrize(("typed", "words"), BAD, ids=[row[0] for row in BAD])
def test_mistakes(
    here: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", *typed.format(**here).split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("efficient-sed: ")
    assert err.count("\n") == 1
    assert words.format(**here) in err
    assert list(tmp_path.iterdir()) == []
    assert (Path(here["d"]) / "there.onnx").read_text() == "mine"


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("x --format onnx --input spectrum", "argument --input: invalid choice: 'spectrum'"),
        ("x --format onnx --half", "unrecognized arguments: --half"),
    ],
)
def test_usage(capsys: pytest.CaptureFixture[str], typed: str, words: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["export", *typed.split()])
    assert caught.value.code == 2
    assert words in capsys.readouterr().err
