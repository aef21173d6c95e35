"""Files that take one clip of one length, and files that take spectrograms: the events of PyTorch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
import torch

import efficient_sed as es
from efficient_sed.audio.frontends.mel import LogMel
from efficient_sed.cli.main import main
from efficient_sed.errors import CheckpointError, ConfigError
from efficient_sed.export.targets.onnx import OnnxTarget
from efficient_sed.export.write import Exported, build_file, export_model
from efficient_sed.inference.exported_model import ExportedModel
from efficient_sed.inference.header import Header
from efficient_sed.models.factory import settle_norms
from efficient_sed.models.sed import Provenance, SedModel


class FixedTarget(OnnxTarget):
    """ONNX files of one batch and one length."""

    is_fixed = True

    def write(self, model: SedModel, header: Header) -> bytes:
        graph = onnx.load_from_string(super().write(model, header))
        frames = 1 + (header.clip_samples - 1) // header.hop_length
        sizes = {"batch": 1, "samples": header.clip_samples, "mel_frames": frames}
        sizes["frames"] = header.grid.num_frames(header.clip_samples)
        for value in [*graph.graph.input, *graph.graph.output]:
            for axis in value.type.tensor_type.shape.dim:
                axis.dim_value = sizes.get(axis.dim_param, axis.dim_value)
        return bytes(graph.SerializeToString())


@pytest.fixture(scope="module")
def model() -> SedModel:
    torch.manual_seed(0)
    model = settle_norms(es.create_model("fmn04+gru-16", classes=["dog", "siren"])).eval()
    model.provenance = Provenance(clip_seconds=1.0, median_frames=3)
    return model


@pytest.fixture(scope="module", params=["waveform", "mel"])
def fixed(request: pytest.FixtureRequest, model: SedModel, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    header, content, difference = build_file(model, "mine", FixedTarget(), request.param)
    path = tmp_path_factory.mktemp("fixed") / "model.onnx"
    path.write_bytes(content)
    return Exported(path, header, len(content), difference)


def noise(seconds: float) -> np.ndarray:
    samples = round(seconds * 16_000)
    return (0.1 * np.random.default_rng(samples).standard_normal((2, samples))).astype(np.float32)


def test_what_is_said_of_it(fixed: Exported) -> None:
    assert (fixed.header.fixed_samples, fixed.header.batch_size) == (16_000, 1)
    first, second = fixed.lines()
    assert f": {fixed.header.input} to scores, batch 1 of 1 s, opset 17, " in first
    assert second.endswith(" in a score, at batch 1 of 1 s")


def test_shorter_sound_is_padded_and_its_scores_cut(fixed: Exported, model: SedModel) -> None:
    detector = ExportedModel(fixed.path)
    for seconds in (0.3, 1.0):
        waveform = noise(seconds)
        scores = detector.score_frames(waveform)
        padded = np.pad(waveform, ((0, 0), (0, 16_000 - waveform.shape[1])))
        expected = model.score_frames(torch.from_numpy(padded)).numpy()
        np.testing.assert_allclose(scores, expected[:, : model.grid.num_frames(waveform.shape[1])], atol=1e-4)
    with pytest.raises(ValueError, match=r"^waveform must have at most 16000 samples, got 16001; score longer"):
        detector.score_frames(np.zeros((1, 16_001), np.float32))


@pytest.mark.parametrize("seconds", [0.35, 2.71])
def test_the_events_of_pytorch(fixed: Exported, model: SedModel, tmp_path: Path, seconds: float) -> None:
    soundfile.write(tmp_path / "a.wav", noise(seconds)[0], 16_000)
    expected = es.detect(tmp_path / "a.wav", model=model, threshold=0.5)
    assert expected
    found = es.detect(tmp_path / "a.wav", model=fixed.path, threshold=0.5)
    assert [event[:3] for event in found] == [event[:3] for event in expected]


def test_a_stream_whose_windows_are_whole(fixed: Exported, model: SedModel) -> None:
    streams = [es.Stream(detector, hop_s=0.4, lookahead_s=0.2) for detector in (fixed.path, model)]
    ours, theirs = (np.concatenate([stream.push(noise(3.0)[0]), stream.finish()]) for stream in streams)
    assert ours.shape == theirs.shape


def test_it_is_measured(fixed: Exported, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", str(fixed.path), "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert record["complexity"]["throughput"]["mode"].endswith(f", from {fixed.header.input}")


def test_an_input_that_the_format_does_not_take(model: SedModel) -> None:
    class MelOnly(OnnxTarget):
        inputs = ("mel",)

    with pytest.raises(ConfigError, match=r"^--input waveform is not allowed: mel with --format onnx$"):
        build_file(model, "mine", MelOnly(), "waveform")


def test_a_front_end_without_steps(model: SedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogMel, "steps", lambda _: ())
    with pytest.raises(ConfigError, match=r"^--input mel is not allowed: the front end LogMel has no form in NumPy"):
        export_model(model, tmp_path / "model.onnx", "mine", input_kind="mel")


@pytest.fixture(scope="module")
def exported(model: SedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_model(model, tmp_path_factory.mktemp("mel") / "model.onnx", "mine", input_kind="mel").path


@pytest.mark.parametrize(
    ("frontend", "words"),
    [
        ("{}", "metadata.frontend={} is not allowed: steps with mel, else none"),
        ('{"steps": [{"step": "Fourier"}], "first_frame_samples": 1}', "metadata.frontend.steps[0]="),
        ('{"steps": [{"step": "Log"}], "first_frame_samples": 1}', "metadata.frontend.steps[0].floor is missing"),
        ('{"steps": [], "first_frame_samples": "1"}', "metadata.frontend.first_frame_samples=1 is not allowed"),
    ],
)
def test_damaged_steps(exported: Path, tmp_path: Path, frontend: str, words: str) -> None:
    graph, path = onnx.load(exported), tmp_path / "model.onnx"
    metadata = {entry.key: entry.value for entry in graph.metadata_props} | {"frontend": frontend}
    onnx.helper.set_model_props(graph, metadata)
    onnx.save(graph, path)
    with pytest.raises(CheckpointError) as caught:
        ExportedModel(path)
    assert str(caught.value).startswith(f"{path}: its metadata does not describe a model of this version ({words}")
