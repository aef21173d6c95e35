"""Fewer bits: what becomes int8, engines, scores that are stored in the file, and a board without PyTorch."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import efficient_sed as es
from efficient_sed.benchmark.macs import count_macs
from efficient_sed.cli.main import main
from efficient_sed.errors import ConfigError
from efficient_sed.export.quantise import quantise
from efficient_sed.export.recipes import RECIPES
from efficient_sed.export.targets.onnx import OnnxTarget
from efficient_sed.export.write import build_file, export_model
from efficient_sed.inference.engines.contract import engines_for, open_engine
from efficient_sed.inference.exported_model import ExportedModel
from efficient_sed.inference.header import CLIP_SCORES, FRAME_SCORES
from efficient_sed.models.factory import settle_norms
from efficient_sed.models.sed import Provenance, SedModel

pytestmark = pytest.mark.slow
WITHOUT = "without PyTorch, detect, listen and benchmark take an exported model: --model FILE.onnx"
SCORE_NAMES = [FRAME_SCORES, CLIP_SCORES]
MATRICES = 13  # projection, two blocks with four of attention and two behind it, classifiers of frames and of clips
NAMED = [name for name in RECIPES if name != "int8-small"]  # test_smallest.py has what is left without names
SMALL = ["data=synthetic", "data.num_train=4", "data.num_validation=1", "data.num_test=4", "data.num_workers=0"]


@pytest.fixture(scope="module")
def model() -> SedModel:
    torch.manual_seed(0)
    model = settle_norms(es.create_model("fmn04+tf-64", classes=["dog", "siren"])).eval()
    model.provenance = Provenance(1.0, 3)
    return model


@pytest.fixture(scope="module")
def exact(model: SedModel) -> bytes:
    return build_file(model, "fmn04+tf-64", OnnxTarget())[1]


def clips(count: int = 4) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [(0.1 * rng.standard_normal((1, 16_000))).astype(np.float32) for _ in range(count)]


def int8_nodes(data: bytes, part: str) -> Counter[str]:
    """Operations of a part, by their kind, whose result is int8, or that multiply in it."""
    nodes = onnx.load_from_string(data).graph.node
    quantised = {name for node in nodes if node.op_type == "QuantizeLinear" for name in node.input}
    return Counter(
        node.op_type
        for node in nodes
        if node.name.startswith(part) and (set(node.output) & quantised or node.op_type == "MatMulInteger")
    )


@pytest.fixture(scope="module")
def files(exact: bytes) -> dict[str, bytes]:
    return {precision: quantise(exact, precision, clips(), "waveform") for precision in RECIPES}


def in_float(data: bytes, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    """What a file says, without integer kernels: its roundings to 8 bits, and between them float32."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"]).run(SCORE_NAMES, inputs)


@pytest.mark.parametrize("precision", RECIPES)
def test_every_precision_runs_at_any_length(files: dict[str, bytes], precision: str) -> None:
    """Integer kernels of this CPU lose no more than the roundings that the file asks for."""
    engine, reference = (open_engine(files[name], 1, "onnxruntime") for name in (precision, "fp32"))
    for samples in (5_000, 37_000):
        inputs = {"waveform": (0.1 * np.random.default_rng(1).standard_normal((2, samples))).astype(np.float32)}
        for ours, rounded, exact in zip(
            engine.run(SCORE_NAMES, inputs),
            in_float(files[precision], inputs),
            reference.run(SCORE_NAMES, inputs),
            strict=True,
        ):
            assert ours.shape == exact.shape
            lost = np.abs(rounded - exact).mean()
            assert np.abs(ours - exact).mean() <= 1.3 * lost + 1e-3
            assert lost < {"fp32": 1e-6, "fp16": 1e-3}.get(precision, 0.1)


@pytest.mark.parametrize("precision", [name for name in NAMED if name.startswith("int8")])
def test_no_two_products_saturate_in_16_bits(files: dict[str, bytes], precision: str) -> None:
    """Unsigned activations times signed weights, any two of which a CPU without VNNI may add in int16."""
    graph = onnx.load_from_string(files[precision]).graph
    weights = [
        onnx.numpy_helper.to_array(weight).astype(int)
        for weight in graph.initializer
        if weight.data_type == onnx.TensorProto.INT8 and len(weight.dims) > 1
    ]
    products = [node for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul", "MatMulInteger")]
    int8 = {weight.name for weight in graph.initializer if weight.data_type == onnx.TensorProto.INT8}
    for node in graph.node:
        if node.op_type in ("DequantizeLinear", "Transpose") and node.input[0] in int8:
            int8.add(node.output[0])
    assert len(weights) == sum(node.input[1] in int8 for node in products) > 0
    for weight in weights:
        is_depthwise = weight.ndim == 4 and weight.shape[1] == 1
        if is_depthwise and RECIPES[precision].is_by_nncf:
            continue  # NNCF gives these 8 bits: OpenVINO adds no two of their products in int16
        ordered = np.sort(weight, axis=None)
        assert 255 * ordered[:2].sum() >= -(2**15)
        assert 255 * ordered[-2:].sum() < 2**15
        assert np.abs(ordered[[0, -1]]).max() > 32  # and they use the bits that they have


@pytest.mark.parametrize("precision", NAMED)
def test_what_becomes_int8(files: dict[str, bytes], precision: str) -> None:
    data = files[precision]
    backbone, head = (
        int8_nodes(data, "/model/backbone"),
        int8_nodes(data, "/model/sequence") + int8_nodes(data, "/model/classifier"),
    )
    left = sum(node.op_type in ("HardSigmoid", "HardSwish") for node in onnx.load_from_string(data).graph.node)
    found = (bool(backbone["Conv"]), left == 0, head["MatMulInteger"])
    assert not {"ReduceMean", "Gemm", "Sigmoid"} & backbone.keys()
    assert found == {
        "int8": (True, True, 0),
        "int8-head": (False, False, MATRICES),
        "int8-all": (True, True, MATRICES),
        "int8-openvino": (True, False, 0),
    }.get(precision, (False, False, 0))
    assert not {"Conv", "MatMul", "Log"} & int8_nodes(data, "/frontend").keys()


@pytest.mark.parametrize("name", ["fmn04", "fmn04+gru-64"])
def test_heads_without_a_matrix_to_quantise(name: str) -> None:
    model = settle_norms(es.create_model(name, num_classes=2)).eval()
    model.provenance = Provenance(1.0)
    with pytest.raises(
        ConfigError,
        match="no matrix of the sequence head becomes int8: recurrent layers and convolutions stay in float32",
    ):
        quantise(build_file(model, name, OnnxTarget())[1], "int8-head", [], "waveform")


def test_sizes(files: dict[str, bytes]) -> None:
    size = {precision: len(data) for precision, data in files.items()}
    assert max(size["int8-all"], size["int8-openvino"]) < size["int8"] < size["fp32"]
    assert size["int8-small"] < size["int8-all"]
    assert size["fp16"] < 0.8 * size["fp32"]


def test_calibration_sets_the_ranges(exact: bytes) -> None:
    """Quiet sounds give narrow ranges, and loud ones are cut off by them."""
    quiet = [0.001 * clip for clip in clips()]
    x, by = {"waveform": clips(1)[0]}, {"engine": "onnxruntime"}
    expected = open_engine(exact, **by).run(["frame_scores"], x)[0]
    int8 = [open_engine(quantise(exact, "int8", seen, "waveform"), **by) for seen in (clips(), quiet)]
    errors = [np.abs(engine.run(["frame_scores"], x)[0] - expected).mean() for engine in int8]
    assert errors[0] < errors[1]
    with pytest.raises(ConfigError, match="int8 needs clips to calibrate with"):
        quantise(exact, "int8", [], "waveform")


SCORES = """
import sys
import numpy as np
from efficient_sed.inference.exported_model import ExportedModel
model, waveform = ExportedModel(sys.argv[1], 1, sys.argv[2]), np.load(sys.argv[3])
frames, clips = model.score(waveform)
alone = {"frames_alone": model.score_frames(waveform), "clips_alone": model.score_clips(waveform)}
np.savez(sys.argv[4], frames=frames, clips=clips, header=repr(model.header), **alone)
"""


def test_what_calibration_warns_of_is_seen(exact: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Although onnxruntime's own advice is not."""

    def warning() -> Iterator[np.ndarray]:
        yield from clips()
        logging.getLogger("efficient_sed").warning("not calibrated with: a.wav")

    quantise(exact, "int8", warning(), "waveform")
    assert caplog.messages == ["not calibrated with: a.wav"]


@pytest.mark.parametrize("engine", engines_for(".onnx"))
def test_engines_agree(model: SedModel, tmp_path: Path, engine: str) -> None:
    """In a process of its own: OpenVINO's threads do not outlive the forks of later tests."""
    path, waveform = export_model(model, tmp_path / "model.onnx", "mine").path, np.concatenate(clips(2))
    np.save(tmp_path / "waveform.npy", waveform)
    subprocess.run(
        [sys.executable, "-c", SCORES, str(path), engine, str(tmp_path / "waveform.npy"), str(tmp_path / "scores.npz")],
        check=True,
    )
    with np.load(tmp_path / "scores.npz") as scores:
        given = dict(scores)
    tolerance = 0.1 if engine.endswith("bf16") else 1e-4
    np.testing.assert_allclose(
        given["frames"].transpose(0, 2, 1), model.score_frames(torch.from_numpy(waveform)), rtol=0, atol=tolerance
    )
    np.testing.assert_array_equal(given["frames_alone"], given["frames"].transpose(0, 2, 1))
    np.testing.assert_array_equal(given["clips_alone"], given["clips"])
    assert str(given["header"]) == repr(ExportedModel(path).header)


@pytest.mark.parametrize("engine", engines_for(".onnx"))
def test_files_that_no_engine_reads(tmp_path: Path, engine: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not a graph")
    run = subprocess.run(
        [sys.executable, "-m", "efficient_sed", "benchmark", str(path), "--engine", engine],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert re.search(r"model\.onnx: (onnxruntime|openvino) cannot read it, damaged or no ONNX file", run.stderr)


def test_bfloat16_is_refused_where_it_would_never_end(tmp_path: Path) -> None:
    path = export_model(es.create_model("fmn04_dcls", classes=["dog"]).eval(), tmp_path / "wide.onnx", "mine").path
    command = [sys.executable, "-m", "efficient_sed", "benchmark", str(path), "--threads", "1", "--engine"]
    run = subprocess.run([*command, "openvino-bf16"], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert (
        f"--engine openvino-bf16 is not allowed for {path}, "
        "of which a convolution never ends so on some CPUs; give --engine openvino" in run.stderr
    )
    assert subprocess.run([*command, "openvino"], capture_output=True, check=False).returncode == 0


def test_precisions_are_compared_on_the_users_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = [
        "export",
        "fmn04+tf-128_synthetic",
        *SMALL,
        "data.clip_seconds=5",
        "--format",
        "onnx",
        "--precision",
        "fp16,int8-all",
        "--output",
        "out/d.onnx",
    ]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert all(
        word in printed
        for word in (
            "fp32",
            "fp16",
            "int8-all",
            "PSDS1 macro",
            "one thread",
            "synthetic, test part",
            "event F1",
            "load ms",
            "memory MB",
            "wrote out/d.fp16.onnx: ",
            "wrote out/d.int8-all.onnx: ",
        )
    )
    assert sorted(path.name for path in Path("out").iterdir()) == ["d.fp16.onnx", "d.int8-all.onnx"]
    header = ExportedModel("out/d.int8-all.onnx").header
    assert (header.precision, header.metric, header.scored_on, header.scored_by) == (
        "int8-all",
        "psds1_macro",
        "synthetic, test part",
        "onnxruntime",
    )
    assert (header.clip_seconds, header.macs) == (5.0, count_macs(es.load_model("fmn04+tf-128_synthetic"), 5.0).total)
    assert main(["evaluate", "out/d.int8-all.onnx", *SMALL]) == 0
    scored = json.loads(capsys.readouterr().out)
    assert (scored["psds1_macro"], scored["data"]["manifest_hash"]) == (header.score, header.manifest_hash)
    assert main(command) == 2  # they are there
    assert "is there already" in capsys.readouterr().err


def test_data_with_other_classes(
    model: SedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    es.save_model(model, tmp_path / "mine.safetensors")
    assert main(["export", "mine.safetensors", *SMALL, "--format", "onnx", "--precision", "int8"]) == 2
    assert "different class lists" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.onnx"))


def test_a_board_needs_no_pytorch(model: SedModel, tmp_path: Path) -> None:
    path = export_model(model, tmp_path / "model.onnx", "mine").path
    names = ["torch", "torchaudio", "scipy", "hydra", "filelock", "onnx", "h5py"]
    blocked = f"import sys; sys.modules.update(dict.fromkeys({names}))"
    sound = tmp_path / "sound.raw"
    sound.write_bytes((np.random.default_rng(0).normal(size=40_000) * 3000).astype("<i2").tobytes())
    for words, status in (
        (f"benchmark {path}", 0),
        (f"evaluate {path} data=synthetic", 2),
        (f"listen --rate 16000 --hop 0.5 --lookahead 0.2 --model {path}", 0),
    ):
        code = f"{blocked}\nfrom efficient_sed.cli.main import main\nsys.exit(main({words.split()!r}))"
        with sound.open("rb") as samples:
            run = subprocess.run(
                [sys.executable, "-c", code], stdin=samples, capture_output=True, text=True, check=False
            )
        assert run.returncode == status, run.stderr
        missing = (
            rf"efficient-sed: this needs the package (torch|hydra), which is not installed; {re.escape(WITHOUT)}\n"
        )
        assert status == 0 or re.fullmatch(missing, run.stderr)
