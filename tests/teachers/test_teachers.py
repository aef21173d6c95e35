"""Every kind of teacher keeps the contract: logits on the data set's grid and classes, or none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import efficient_sed as es
from efficient_sed.audio.grid import FrameGrid
from efficient_sed.errors import CheckpointError, ConfigError, DataError, EfficientSedError
from efficient_sed.models.sed import SedModel
from efficient_sed.registry import TEACHERS
from efficient_sed.teachers.contract import Teacher
from efficient_sed.teachers.model import ModelConfig, ModelTeacher

CLASSES = ("cat", "dog")
GRID = FrameGrid()


def make_model(path: Path, classes: Sequence[str] = CLASSES, seed: int = 0, task: str = "detection") -> SedModel:
    torch.manual_seed(seed)
    model = es.create_model("fmn04", classes=list(classes)).eval()
    model.provenance = replace(model.provenance, task=task)
    es.save_model(model, path)
    return model


def stored(folder: Path) -> Teacher:
    path = folder / "t.h5"
    with h5py.File(path, "w") as file:
        file["filenames"], file["classes"] = (
            np.array(["known"], dtype="S"),
            np.array(CLASSES[::-1], dtype=h5py.string_dtype()),
        )
        file["strong_logits"] = np.random.default_rng(0).normal(size=(1, 2, 60)).astype(np.float16)
    return TEACHERS.get("stored")(str(path)).build(CLASSES, GRID)


def live(folder: Path) -> Teacher:
    make_model(folder / "m.safetensors", ("bird", "dog", "cat"))
    return TEACHERS.get("model")((str(folder / "m.safetensors"),)).build(CLASSES, GRID)


MAKERS: dict[str, Callable[[Path], Teacher]] = {"stored": stored, "model": live}


def test_every_kind_is_tested() -> None:
    assert TEACHERS.names() == sorted(MAKERS)
    with pytest.raises(ConfigError, match=r"unknown teacher 'store'; did you mean 'stored'\? allowed: model, stored$"):
        TEACHERS.get("store")


@pytest.mark.parametrize("kind", MAKERS)
def test_contract(tmp_path: Path, kind: str) -> None:
    teacher = MAKERS[kind](tmp_path)
    logits, late, other = teacher.frame_logits(["known", "known", "unknown"], [0, 25, 0], torch.randn(3, 32_000))
    assert logits is not None
    assert late is not None
    for item in (logits, late):
        assert (item.shape, item.dtype, item.device.type, item.requires_grad) == ((2, 50), torch.float32, "cpu", False)
    if kind == "stored":
        assert other is None
        assert torch.equal(logits[:, 25:], late[:, :25])
        assert (late[:, 35:] == -30).all()
    if isinstance(teacher, ModelTeacher):
        with pytest.raises(
            TypeError,
            match=(
                r"^waveform must be float32 in \[-1, 1\], a torch.Tensor .* got numpy.ndarray; "
                r"give torch.from_numpy\(x\)$"
            ),
        ):
            teacher.frame_logits(["known"], [0], np.zeros((1, 32_000), np.float32))  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"^a spectrogram must be a torch.Tensor of shape .*, got ndarray$"):
            teacher([np.zeros((1, 1, 128, 100), np.float32)])  # type: ignore[list-item]
    (tmp_path / "again").mkdir()
    assert MAKERS[kind](tmp_path / "again").fingerprint == teacher.fingerprint != ""


def test_an_ensemble_averages_logits_by_label(tmp_path: Path) -> None:
    models = {
        name: make_model(tmp_path / f"{name}.safetensors", classes, seed)
        for seed, (name, classes) in enumerate({"a": ("cat", "dog"), "b": ("dog", "bird", "cat")}.items())
    }
    teacher = ModelConfig(tuple(str(tmp_path / f"{name}.safetensors") for name in models)).build(CLASSES, GRID)
    mel = torch.randn(2, 1, 128, 100)
    with torch.no_grad():
        frames = (models["a"](mel).frame_logits + models["b"](mel).frame_logits[:, [2, 0]]) / 2
    output = teacher([mel])
    torch.testing.assert_close(output.frame_logits, frames)
    assert output.clip_logits.shape == (2, 2)
    first, second = (
        ModelConfig((str(tmp_path / f"{name}.safetensors"),)).build(CLASSES, GRID).fingerprint for name in models
    )
    assert teacher.fingerprint == f"{first},{second}"
    assert first != second


def test_clip_logits_are_those_that_were_trained(tmp_path: Path) -> None:
    mel = torch.randn(1, 1, 128, 100)
    for task in ("detection", "tagging"):
        model = make_model(tmp_path / f"{task}.safetensors", task=task)
        output = ModelConfig((str(tmp_path / f"{task}.safetensors"),), "tagging").build(CLASSES, GRID)([mel])
        with torch.no_grad():
            expected = model(mel)
        torch.testing.assert_close(
            output.clip_logits, expected.clip_logits if task == "tagging" else expected.frame_logits.amax(-1)
        )


BAD: dict[str, tuple[str, type[EfficientSedError], str]] = {
    "unknown": ("fmn99+tf-256_strong", EfficientSedError, r"fmn99"),
    "missing": ("absent.safetensors", CheckpointError, r"^absent\.safetensors: no such checkpoint file$"),
    "classes": (
        "birds.safetensors",
        DataError,
        r"^teacher birds\.safetensors: its 2 classes lack 1 of the data set's 2, first 'cat'$",
    ),
    "task": (
        "tagger.safetensors",
        ConfigError,
        r"^teacher tagger\.safetensors: was trained on clip labels only, .*; choose a detector, "
        r"or train with task=tagging$",
    ),
    "stored": (
        "t.h5",
        ConfigError,
        r"^teacher t\.h5: a file of logits, not a model; a training takes it as data\.pseudo_labels=t\.h5$",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_teachers_that_cannot_teach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    monkeypatch.chdir(tmp_path)
    make_model(tmp_path / "birds.safetensors", ("bird", "dog"))
    make_model(tmp_path / "tagger.safetensors", task="tagging")
    name, kind, message = BAD[case]
    with pytest.raises(kind, match=message) as caught:
        ModelConfig((name,)).build(CLASSES, GRID)
    assert "\n" not in str(caught.value)


def test_another_grid(tmp_path: Path) -> None:
    make_model(tmp_path / "m.safetensors")
    with pytest.raises(
        ConfigError,
        match=(
            r"its frames last 0\.04 s at 16000 Hz, the student's 0\.08 s at 16000 Hz; "
            r"choose a teacher on the student's grid$"
        ),
    ):
        ModelConfig((str(tmp_path / "m.safetensors"),)).build(CLASSES, FrameGrid(stride=8))
