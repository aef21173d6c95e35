"""New classes for a trained model: what it knew stays as it was, and counts where it is annotated."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

import efficient_sed as es
from efficient_sed.cli.main import main
from efficient_sed.data.events import Clip, Event, Splits
from efficient_sed.data.extension import extend_splits, extended_classes
from efficient_sed.data.storage.sources import AudioFile
from efficient_sed.errors import CheckpointError, DataError
from efficient_sed.models.names import parse_name
from efficient_sed.models.sed import ModelSpec, SedModel
from efficient_sed.models.weights.initial import initial_classes, load_initial_model
from efficient_sed.training.losses import detection_loss, kept_classes, tagging_loss

OLD, NEW = ("siren", "dog", "wind"), ("anvil", "zip")
SMALL = [
    *("backbone=fmn04", "seq=none", "backbone.init=null", "data.clip_seconds=2", "data.num_workers=0"),
    *("train.epochs=1", "train.min_steps_per_epoch=0", "train.batch_size=2", "train.accelerator=cpu"),
    *("benchmark.seconds=1", "benchmark.repeats=3", "benchmark.batches=[1]", "benchmark.modes=eager"),
]


def spec(name: str, classes: tuple[str, ...], pooling: Any = "mean") -> ModelSpec:
    parsed = parse_name(name)
    return ModelSpec(parsed.backbone, parsed.seq, classes, pooling)


@given(kept=st.sets(st.sampled_from("abcdefgh"), min_size=1), own=st.sets(st.sampled_from("abcdefghijk"), min_size=1))
def test_old_classes_first_and_new_ones_sorted(kept: set[str], own: set[str]) -> None:
    order = tuple(sorted(kept, reverse=True))
    if own <= kept:
        with pytest.raises(DataError, match=rf"^train\.extend_classes=true: m has all {len(own)} classes .*no new one"):
            extended_classes(order, sorted(own), "m")
        return
    classes = extended_classes(order, sorted(own), "m")
    assert classes[: len(order)] == order
    assert list(classes[len(order) :]) == sorted(own - kept)


@pytest.mark.parametrize(
    ("old", "own"), [("Speech", "speech"), ("Café", "cafe"), ("STRASSE", "straße"), ("cafe", "CAFE\u0301")]
)
def test_classes_that_are_nearly_the_same(old: str, own: str) -> None:
    with pytest.raises(DataError, match=rf"'{own}' of the data set and '{old}' of m differ in case or accents alone; "):
        extended_classes((old,), ("zip", own), "m")


def test_labels_and_metrics_are_about_the_own_classes() -> None:
    clips = [Clip(f"{number}.wav", AudioFile(Path(f"{number}.wav")), 1.0, (Event(0, 1, "dog"),)) for number in range(3)]
    own = Splits(("anvil", "dog"), *([clip] for clip in clips), known_hash="abc")
    whole = extend_splits(own, (*OLD, "anvil"))
    assert whole.classes == (*OLD, "anvil")
    assert {clip.annotated for clip in (*whole.train, *whole.validation, *whole.test)} == {("anvil", "dog")}
    assert (whole.evaluated_classes, whole.manifest_hash) == (("anvil", "dog"), "abc")
    with pytest.raises(DataError, match="the model does not know 'anvil' of the data set"):
        extend_splits(own, OLD)


def test_each_class_has_one_master() -> None:
    """Labels move the outputs of annotated classes alone, the teacher those of the other old ones."""
    torch.manual_seed(0)
    annotated = torch.tensor([[False, True, False, True, True], [True] * 5])
    logits = torch.zeros(2, 5, 4, requires_grad=True)
    taught = kept_classes(annotated, 3, logits.shape[:2])
    assert taught.tolist() == [[True, False, True, False, False], [False] * 5]
    assert not kept_classes(None, 3, logits.shape[:2]).any()
    for loss, outputs in ((detection_loss, logits), (tagging_loss, logits[..., 0])):
        ones, zeros = torch.ones_like(outputs), torch.zeros_like(outputs)
        losses = loss(outputs, ones, zeros, 0.5, annotated=annotated, distilled_classes=taught)
        (gradient,) = torch.autograd.grad(losses["loss"], outputs)
        signs = gradient.sign() if outputs.ndim == 2 else gradient.sign().amin(-1)
        assert torch.equal(signs, torch.where(taught, 1.0, torch.where(annotated, -1.0, 0.0)))


@pytest.mark.parametrize(
    ("name", "pooling"),
    [
        ("fmn04", "mean"),
        ("fmn04", "attention"),
        ("fmn04+gru-16", "linear_softmax"),
        ("erann1", "mean"),
        pytest.param("convnext_tiny", "mean", marks=pytest.mark.long),
    ],
)
def test_old_outputs_are_kept(tmp_path: Path, name: str, pooling: Any) -> None:
    """Of every kind of classifier, in frames and clips."""
    torch.manual_seed(0)
    old = SedModel(spec(name, OLD, pooling)).eval()
    es.save_model(old, tmp_path / "old.safetensors")
    wide = spec(name, (*OLD, *NEW), pooling)
    assert initial_classes(wide, str(tmp_path / "old.safetensors")) == OLD
    model = SedModel(wide).eval()
    load_initial_model(model, str(tmp_path / "old.safetensors"), is_extended=True)
    mel = old.frontend(torch.randn(1, 64_000))
    with torch.no_grad():
        for own, stored in zip(model(mel), old(mel), strict=True):
            torch.testing.assert_close(own[:, : len(OLD)], stored)
            assert own.shape[1] == len(OLD) + len(NEW)
    if pooling == "mean":
        with pytest.raises(CheckpointError, match=r"has classifier\.pooling=mean: its classifier is kept"):
            initial_classes(spec(name, OLD, "attention"), str(tmp_path / "old.safetensors"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of one new class and one that the old model knows, two of them unlabelled; and that model."""
    folder, rng = tmp_path_factory.mktemp("workshop"), np.random.default_rng(0)
    (folder / "audio").mkdir()
    (folder / "unlabelled").mkdir()
    for part in ("train", "validation", "test"):
        rows = ["filename\tonset\toffset\tevent_label"]
        for index in range(4):
            soundfile.write(folder / "audio" / f"{part}{index}.wav", rng.uniform(-0.1, 0.1, 32_000), 16_000)
            rows.append(f"{part}{index}.wav\t0.5\t1.5\t{('anvil', 'dog')[index % 2]}")
        (folder / f"{part}.tsv").write_text("\n".join(rows) + "\n")
    for index in range(2):
        soundfile.write(folder / "unlabelled" / f"{index}.wav", rng.uniform(-0.1, 0.1, 32_000), 16_000)
    torch.manual_seed(0)
    es.save_model(es.create_model("fmn04", classes=list(OLD)), folder / "old.safetensors")
    return folder


def test_from_training_to_export(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One run, resumed, found again and tuned; its model evaluated, exported and used."""
    monkeypatch.chdir(tmp_path)
    data, start = ["data=folder", f"data.root={root}"], root / "old.safetensors"
    command = ["train", "experiment=finetune", *data, *SMALL, "train.extend_classes=true", f"train.init_from={start}"]
    with caplog.at_level(logging.INFO, "efficient_sed"):
        assert main([*command, "evaluation.tune=none"]) == 0
    also = "labels count for 1 of the kept ones, too (dog)"
    assert f"3 classes of {start} are kept, 1 are new (anvil); {also}" in caplog.messages
    (path,) = Path("runs").rglob("model.safetensors")
    result = json.loads((path.parent / "result.json").read_text())
    model = es.load_model(str(path))
    assert model.classes == [*OLD, "anvil"]
    assert model.provenance.notes["extended_from"] == str(start)
    assert (result["data"]["num_classes"], result["data"]["num_classes_evaluated"]) == (4, 2)
    assert set(result["metrics"]["per_class"]) == {"anvil", "dog"}
    assert result["training"]["clips_by_subset"] == {"strong": 4, "unlabelled": 2}  # on which the old model teaches
    assert result["training"]["teacher"]
    for name in ("result.json", "model.safetensors"):
        (path.parent / name).unlink()
    assert main([*command, "evaluation.tune=none"]) == 0  # from its last checkpoint
    again = es.load_model(str(path))
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in model.state_dict().items())
    caplog.clear()
    with caplog.at_level(logging.INFO, "efficient_sed"):
        assert main([*command, "evaluation.tune=event_f1", "evaluation.tune_folds=2"]) == 0
    assert [message for message in caplog.messages if "trained before, and not trained again" in message]
    assert main(["export", str(path), "--format", "onnx", "--output", "model.onnx"]) == 0
    for scored in (str(path), "model.onnx"):
        capsys.readouterr()
        assert main(["evaluate", scored, *data, "evaluation.tune=none"]) == 0
        scores = json.loads(capsys.readouterr().out)
        assert (scores["data"]["num_classes_evaluated"], set(scores["per_class"])) == (2, {"anvil", "dog"})
        numbers = {key: value for key, value in result["metrics"].items() if isinstance(value, float)}
        if scored == str(path):  # an exported model rounds otherwise, and scores of a moment's training are nearly ties
            assert {key: scores[key] for key in numbers} == pytest.approx(numbers, abs=1e-6, nan_ok=True)
            assert len(set(numbers.values())) > 2
    assert main(["detect", str(root / "audio"), "--model", "model.onnx", "--format", "tsv", "--output", "out.tsv"]) == 0
