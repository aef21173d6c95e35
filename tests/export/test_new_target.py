"""A format and its engine, each added as one file: exported to, checked, detected with and measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from adding import added

import efficient_sed as es
from efficient_sed.cli.main import main
from efficient_sed.cli.options import engine_names
from efficient_sed.errors import ConfigError
from efficient_sed.inference.engines.contract import is_exported, open_engine
from efficient_sed.models.factory import settle_norms
from efficient_sed.models.sed import Provenance
from efficient_sed.registry import ENGINES, EXPORT_TARGETS

ENGINE = """
import io, json
from efficient_sed.inference.engines.contract import Engine
from efficient_sed.registry import ENGINES

@ENGINES.register("torchscript")
class TorchScript(Engine):
    suffix = ".ts"
    is_default = True

    def __init__(self, model, num_threads=None):
        import torch
        content = model if isinstance(model, bytes) else model.read_bytes()
        files = {"metadata": ""}
        self._graph = torch.jit.load(io.BytesIO(content), _extra_files=files)
        self.metadata = json.loads(files["metadata"])
        self.version = "torchscript 1"

    def run(self, outputs, inputs):
        import torch
        ((_, array),) = inputs.items()
        with torch.no_grad():
            scores = dict(zip(("frame_scores", "clip_scores"), self._graph(torch.from_numpy(array)), strict=True))
        return [scores[name].numpy() for name in outputs]
"""
TARGET = """
import io, json
from efficient_sed.export.contract import ExportTarget
from efficient_sed.registry import EXPORT_TARGETS

@EXPORT_TARGETS.register("torchscript")
class TorchScriptTarget(ExportTarget):
    suffix = ".ts"

    def write(self, model, header):
        import torch
        from efficient_sed.export.check import Scores, create_example, example_lengths
        example = create_example(model, header, 2, example_lengths(header)[1])
        with torch.no_grad():
            graph = torch.jit.trace(Scores(model, header.input == "waveform"), example)
        return _saved(graph, header)

    def with_header(self, content, header):
        import torch
        return _saved(torch.jit.load(io.BytesIO(content)), header)

def _saved(graph, header):
    import torch
    file = io.BytesIO()
    torch.jit.save(graph, file, _extra_files={"metadata": json.dumps(header.to_metadata())})
    return file.getvalue()
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_a_target_and_an_engine_in_one_file_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = settle_norms(es.create_model("fmn04", classes=["dog", "siren"])).eval()
    model.provenance = Provenance(clip_seconds=1.0, median_frames=7)
    es.save_model(model, "model.safetensors")
    soundfile.write("a.wav", np.random.default_rng(0).normal(size=24_000) * 0.1, 16_000)
    with (
        added(ENGINES, tmp_path / "engines", "torchscript", ENGINE),
        added(EXPORT_TARGETS, tmp_path / "targets", "torchscript", TARGET),
    ):
        assert "torchscript for .ts (default: torchscript)" in engine_names()
        assert main(["export", "model.safetensors", "--format", "torchscript"]) == 0
        assert "wrote model.ts: waveform to scores, any batch and length, " in capsys.readouterr().out
        detect = ["detect", "a.wav", "--threshold", "0.05", "--format", "tsv", "--model"]
        assert main([*detect, "model.safetensors"]) == 0
        expected = capsys.readouterr().out
        assert main([*detect, "model.ts"]) == 0
        assert capsys.readouterr().out == expected
        assert expected.count("\n") > 1
        assert main(["benchmark", "model.ts", "--json"]) == 0
        (record,) = json.loads(capsys.readouterr().out)
        assert record["complexity"]["throughput"]["mode"] == "torchscript 1, from waveform"
        with pytest.raises(ConfigError, match=r"^--engine onnxruntime runs \.onnx files, and model\.ts is none$"):
            open_engine(Path("model.ts"), engine="onnxruntime")
        assert (
            main(["export", "model.safetensors", "--format", "torchscript", "--precision", "int8", "data=synthetic"])
            == 2
        )
        assert "precision 'int8' is not known; allowed: fp32" in capsys.readouterr().err
    assert not is_exported("model.ts")
