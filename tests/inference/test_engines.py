"""How an engine is chosen for an exported model, and what is said of files that none can run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from efficient_sed.errors import CheckpointError, ConfigError
from efficient_sed.inference.engines.contract import default_engine, engines_for, is_exported, open_engine
from efficient_sed.registry import ENGINES

INSTALLED = ["onnxruntime", "openvino"]


@pytest.fixture(scope="module")
def doubling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with metadata whose two outputs are twice and half its input."""
    x, *outputs = (onnx.helper.make_tensor_value_info(name, 1, ["n"]) for name in ("x", "twice", "half"))
    factors = [onnx.numpy_helper.from_array(np.array(value, np.float32), f"by_{value}") for value in (2.0, 0.5)]
    nodes = [
        onnx.helper.make_node("Mul", ["x", factor.name], [out.name])
        for factor, out in zip(factors, outputs, strict=True)
    ]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(nodes, "graph", [x], outputs, factors), opset_imports=[onnx.helper.make_opsetid("", 17)]
    )
    model.ir_version = 8
    onnx.helper.set_model_props(model, {"format": "mine", "labels": '["Hündin"]'})
    path = tmp_path_factory.mktemp("engines") / "doubling.onnx"
    onnx.save(model, path)
    return path


def test_the_default_comes_first() -> None:
    assert engines_for(".onnx") == ["onnxruntime", "openvino", "openvino-bf16"]
    assert default_engine("a/model.onnx") == "onnxruntime"
    assert engines_for(".wav") == []
    for suffix in {ENGINES.get(name).suffix for name in ENGINES.names()}:
        assert sum(ENGINES.get(name).is_default for name in engines_for(suffix)) == 1


def test_an_exported_model_is_known_by_its_ending() -> None:
    assert is_exported("runs/model.onnx")
    assert not any(map(is_exported, ("fmn10+tf-256_strong", "model.safetensors", "onnx", "a.onnx.bak")))
    with pytest.raises(CheckpointError, match=r"^model\.pt: not an exported model; these end in \.onnx, "):
        default_engine("model.pt")


@pytest.mark.parametrize("name", INSTALLED)
def test_outputs_by_name_and_metadata(name: str, doubling: Path) -> None:
    pytest.importorskip(name)
    engine = open_engine(doubling, 1, name)
    assert (engine.metadata["format"], engine.metadata["labels"]) == ("mine", '["Hündin"]')
    assert engine.version.startswith(f"{name} ")
    assert engine.is_exact
    half, twice = engine.run(["half", "twice"], {"x": np.arange(3, dtype=np.float32)})
    engine.run(["twice"], {"x": np.ones(3, dtype=np.float32)})  # leaves what was returned before as it was
    assert (half.tolist(), twice.tolist()) == ([0, 0.5, 1], [0, 2, 4])
    assert open_engine(doubling.read_bytes(), 1, name).run(["half"], {"x": np.ones(1, np.float32)})[0] == 0.5


@pytest.mark.parametrize("name", INSTALLED)
def test_a_damaged_file(name: str, doubling: Path, tmp_path: Path) -> None:
    pytest.importorskip(name)
    path = tmp_path / "damaged.onnx"
    path.write_bytes(doubling.read_bytes()[:-40] + b"\xff" * 40)
    with pytest.raises(CheckpointError, match=rf"^{path}: {name} cannot read it, damaged or no ONNX file \(.+\)$"):
        open_engine(path, 1, name)


def test_a_name_that_is_not_there(doubling: Path) -> None:
    with pytest.raises(ConfigError, match=r"^unknown engine 'onnxruntim'; did you mean 'onnxruntime'\?"):
        open_engine(doubling, engine="onnxruntim")
    with pytest.raises(CheckpointError, match="onnxruntime cannot read it"):
        open_engine(doubling).run(["third"], {"x": np.ones(1, np.float32)})
