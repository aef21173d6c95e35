"""Weights in the released layout give the released models' numbers, and every published parameter count is met exactly.

The files in tests/parity were computed by the published implementation from weights and a waveform
that `rule_tensor` and `rule_waveform` make again.
"""

from __future__ import annotations

import csv
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import efficient_sed as es
from efficient_sed.errors import CheckpointError
from efficient_sed.files.packaged import resource_folder
from efficient_sed.models.names import parse_name
from efficient_sed.models.sed import ModelSpec, SedModel
from efficient_sed.registry import SEQUENCE_HEADS

FOLDER = Path(__file__).parent.parent / "parity"
NAMES = sorted(path.stem for path in FOLDER.glob("*.npz"))
STRONG_CLASSES, MEL_FRAMES = slice(None, None, 29), slice(None, None, 50)


def rule_tensor(key: str, shape: list[int]) -> torch.Tensor:
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    if key.endswith("freqs"):  # as initialised
        return (1 / 10_000 ** (torch.arange(shape[0], dtype=torch.float64) / shape[0])).float()
    x = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode()))).standard_normal(shape).astype(np.float32)
    if key.endswith("running_var"):
        x = 1 + 0.1 * np.abs(x)
    elif key.endswith("running_mean"):
        x = 0.02 * x
    elif len(shape) == 1 or key.endswith("gamma"):
        x = 0.02 * x if "bias" in key else 1 + 0.1 * x
    elif key.endswith("weight_g"):
        x = 0.5 + 0.05 * x
    else:
        x = x * np.float32((1.5 if "features" in key else 1.4) / np.sqrt(np.prod(shape[1:])))
    return torch.from_numpy(x)


def rule_waveform() -> torch.Tensor:
    t = np.arange(160_000) / 16_000
    noise = np.random.Generator(np.random.PCG64(7)).standard_normal(len(t))
    chirp = np.where((t > 2) & (t < 5), np.sin(2 * np.pi * (300 + 400 * t) * t), 0)
    beeps = np.where((np.sin(2 * np.pi * 3 * t) > 0) & (t > 6), np.sin(2 * np.pi * 1200 * t), 0)
    return torch.from_numpy((0.05 * noise + 0.3 * chirp + 0.2 * beeps).astype(np.float32))[None]


def plainly(key: str) -> str:
    return key.replace("net.model.", "model.fmn.", 1) if key.startswith("net.model.") else key.removeprefix("net.")


SPELLINGS: dict[str, Callable[[str], str]] = {
    "net": lambda key: key,
    "model": lambda key: key.replace("net.", "model.", 1),
    "plain": plainly,
}


def reference(name: str) -> dict[str, Any]:
    with np.load(FOLDER / f"{name}.npz") as file:
        return dict(file)


def save_released(name: str, path: Path, spelling: str = "net") -> Path:
    layout = json.loads(str(reference(name)["layout"]))
    torch.save({SPELLINGS[spelling](key): rule_tensor(key, shape) for key, shape in layout.items()}, path)
    return path


def test_references_are_here() -> None:
    assert len(NAMES) >= 9
    assert {parse_name(name).seq.name for name in NAMES} >= {"none", "tf", "gru", "attn", "hybrid", "mamba", "tcn"}


@pytest.mark.parametrize("name", NAMES)
@torch.inference_mode()
def test_released_layout(name: str, tmp_path: Path) -> None:
    expected = reference(name)
    model = es.load_model(name, checkpoint=save_released(name, tmp_path / "released.pt"))
    assert not model.training
    assert sum(parameter.numel() for parameter in model.parameters()) == int(expected["params"])
    assert model.classes[0] != "class_0"
    mel = model.frontend(rule_waveform())
    output = model(mel)
    assert mel.shape == (1, 1, 128, 1000)
    assert output.frame_logits.shape == (1, 447, 250)
    np.testing.assert_allclose(mel[0, 0, :, MEL_FRAMES].numpy(), expected["mel"], rtol=0, atol=1e-4)
    scale = expected["strong"].std(axis=1).mean()
    strong = output.frame_logits[0, STRONG_CLASSES].numpy()
    clips = output.clip_logits[0].numpy()
    exact = model.double()(mel.double()).frame_logits[0, STRONG_CLASSES].numpy()
    rounding = np.abs(expected["strong"] - exact).max()  # on the CPU that made the reference
    assert rounding < 3e-3 * scale
    assert np.abs(strong - exact).max() < max(1e-3 * scale, rounding)
    assert np.abs(clips - expected["weak"]).max() < 1e-2 * scale


@pytest.mark.parametrize("name", ["fmn04", "fmn04+tf-104", "fmn10+gru-128", "fmn10+tcn-128"])
def test_three_spellings_of_one_file(name: str, tmp_path: Path) -> None:
    states = [
        es.load_model(name, checkpoint=save_released(name, tmp_path / f"{spelling}.pt", spelling)).state_dict()
        for spelling in SPELLINGS
    ]
    assert len(states) == 3
    for state in states[1:]:
        assert state.keys() == states[0].keys()
        assert all(torch.equal(state[key], states[0][key]) for key in state)


def test_a_released_file_is_named_by_its_stem(tmp_path: Path) -> None:
    model = es.load_model(str(save_released("fmn04+tf-104", tmp_path / "fmn04+tf-104_strong.pt")))
    assert len(model.classes) == 447
    assert model.spec == es.create_model("fmn04+tf-104", num_classes=447).spec


@pytest.mark.parametrize(("suffix", "num_classes"), [(".pt", None), (".safetensors", 447), (".pt", 5)])
def test_a_file_without_a_head_into_a_model_with_one(
    tmp_path: Path, suffix: str, num_classes: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    headless = es.load_model("fmn04", checkpoint=save_released("fmn04", tmp_path / "fmn04.pt"))
    es.save_model(headless, tmp_path / "fmn04.safetensors")
    path = tmp_path / f"fmn04{suffix}"
    model = es.load_model("fmn04+hybrid-104", checkpoint=path, num_classes=num_classes)
    size = num_classes or 447
    assert caplog.messages == [
        f"{path}: only its backbone is taken: the head hybrid and the classifier are random (447 classes in the file, "
        f"{size} in the model)"
    ]
    assert (model.spec.seq.name, len(model.classes), model.classifier.strong.in_features) == ("hybrid", size, 104)
    for key, value in headless.backbone.state_dict().items():
        assert torch.equal(model.backbone.state_dict()[key], value), key


def test_a_file_with_another_head_is_refused(tmp_path: Path) -> None:
    path = save_released("fmn04+tf-104", tmp_path / "released.pt")
    for name in ("fmn04", "fmn04+gru-104", "fmn04+tf-64"):
        with pytest.raises(CheckpointError, match=r"released\.pt: the weights do not fit: .*first "):
            es.load_model(name, checkpoint=path)
    with pytest.raises(CheckpointError, match=r"released\.pt: holds fmn04, not fmn06$"):
        es.load_model("fmn06+tf-104", checkpoint=path)


def test_copies_of_a_convolution_are_not_needed(tmp_path: Path) -> None:
    path = save_released("fmn10+tcn-128", tmp_path / "all.pt")
    state = torch.load(path, weights_only=True)
    once = {key: value for key, value in state.items() if ".conv1." not in key and ".conv2." not in key}
    assert len(once) == len(state) - 60
    torch.save(once, tmp_path / "once.pt")
    first, second = (
        es.load_model("fmn10+tcn-128", checkpoint=file).state_dict() for file in (path, tmp_path / "once.pt")
    )
    assert all(torch.equal(first[key], second[key]) for key in first)


def published_counts() -> list[tuple[str, int]]:
    with (resource_folder("published") / "efficientsed_audioset_strong.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["head"] in SEQUENCE_HEADS.names()]
    return sorted(
        {
            (row["backbone"] + (f"+{row['head']}-{row['hidden']}" if row["hidden"] else ""), int(row["params"]))
            for row in rows
        }
    )


@pytest.mark.parametrize(("name", "count"), published_counts(), ids=[name for name, _ in published_counts()])
def test_published_parameter_counts(name: str, count: int) -> None:
    parsed = parse_name(name)
    with torch.device("meta"):
        model = SedModel(ModelSpec(parsed.backbone, parsed.seq, tuple(map(str, range(447)))))
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_how_many_counts_were_seen() -> None:
    assert len(published_counts()) >= 41  # every row of the table
