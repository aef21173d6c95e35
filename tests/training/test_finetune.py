"""Own recordings, from an own or a released model: the commands that README types."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import efficient_sed as es
from efficient_sed.cli.main import main
from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.models.sed import SedModel

Train = Callable[..., tuple[int, SedModel | None]]
KEPT = {
    "train.lr_backbone=1e-12",
    "train.lr_head=1e-12",
    "train.is_batchnorm_frozen=true",
}  # as good as no training: what was taken stays to be seen


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four noises a part with an event each."""
    root, rng = tmp_path_factory.mktemp("own"), np.random.default_rng(0)
    (root / "audio").mkdir()
    for part in ("train", "validation", "test"):
        rows = ["filename\tonset\toffset\tevent_label"]
        for index in range(4):
            name = f"{part}_{index}.wav"
            soundfile.write(root / "audio" / name, rng.uniform(-0.1, 0.1, 22_050 * 2), 22_050)
            rows.append(f"{name}\t0.5\t1.5\t{('gate', 'whistle')[index % 2]}")
        (root / f"{part}.tsv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture
def train(recordings: Path, tmp_path: Path) -> Train:
    def run(*typed: str) -> tuple[int, SedModel | None]:
        small = [
            "data.clip_seconds=2",
            "data.num_workers=0",
            "train.epochs=1",
            "train.min_steps_per_epoch=0",
            "train.batch_size=2",
            "train.accelerator=cpu",
            "benchmark.seconds=1",
            "benchmark.repeats=3",
            "benchmark.batches=[1]",
        ]
        status = main(
            [
                "train",
                "experiment=finetune",
                "data=folder",
                f"data.root={recordings}",
                "backbone=fmn04",
                f"output_dir={tmp_path / 'runs'}",
                *small,
                *typed,
            ]
        )
        (model,) = list((tmp_path / "runs").rglob("model.safetensors")) or [None]
        return status, es.load_model(str(model)) if model else None

    return run


@pytest.fixture
def start(tmp_path: Path) -> dict[str, Any]:
    """A trained model in both formats, and the model itself."""
    model = es.create_model("fmn04+gru-16", classes=("gate", "whistle"))
    es.save_model(model, tmp_path / "own.safetensors")
    released = {
        "backbone": "net.model.fmn",
        "sequence": "net.seq_model",
        "classifier.strong": "net.strong_head",
        "classifier.weak": "net.weak_head",
    }
    state = {}
    for key, value in model.state_dict().items():
        prefix = next(own for own in released if key.startswith(f"{own}."))
        name = (
            key.removeprefix(prefix)
            .replace(".fc1.", ".conc_se_layers.0.fc1.")
            .replace(".fc2.", ".conc_se_layers.0.fc2.")
        )
        state[released[prefix] + name] = value
    torch.save(state, tmp_path / "strong.pt")
    return {"model": model, "own": tmp_path / "own.safetensors", "released": tmp_path / "strong.pt"}


def close(module: torch.nn.Module, other: torch.nn.Module) -> bool:
    state = other.state_dict()
    return all(
        torch.allclose(value.float(), state[key].float(), atol=1e-8) for key, value in module.state_dict().items()
    )


@pytest.mark.parametrize("file", ["own", pytest.param("released", marks=pytest.mark.long)])
def test_from_the_backbone(train: Train, start: dict[str, Any], file: str) -> None:
    """Any head may stand on it; the classes are those of the annotations."""
    status, model = train("seq=tf", "seq.hidden=16", f"backbone.init={start[file]}", *KEPT)
    assert status == 0
    assert model is not None
    assert model.classes == ["gate", "whistle"]
    assert close(model.backbone, start["model"].backbone)


@pytest.mark.parametrize("file", [pytest.param("own", marks=pytest.mark.long), "released"])
def test_from_the_whole_model(train: Train, start: dict[str, Any], file: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "efficient_sed"):
        status, model = train("seq=gru", "seq.hidden=16", "backbone.init=null", f"train.init_from={start[file]}", *KEPT)
    assert status == 0
    assert model is not None
    assert close(model.backbone, start["model"].backbone)
    assert close(model.sequence, start["model"].sequence)
    assert close(model.classifier, start["model"].classifier) == (
        file == "own"
    )  # a released file says nothing of its classes
    assert [message for message in caplog.messages if f"starts from {start[file]}" in message]


def test_another_head_is_refused(train: Train, start: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    status, model = train("seq=tf", "seq.hidden=16", "backbone.init=null", f"train.init_from={start['own']}")
    assert (status, model) == (2, None)
    assert f"{start['own']}: holds fmn04+gru-16, not fmn04+tf-16" in capsys.readouterr().err


def test_from_a_run_on_other_data(train: Train, tiny_config: SyntheticConfig, tmp_path: Path) -> None:
    """Two commands: a training on synthetic sounds, and a fine-tuning from its model.safetensors."""
    scenes = [
        f"data.{key}={getattr(tiny_config, key)}"
        for key in ("root", "num_train", "num_validation", "num_test", "scene_seconds", "clip_seconds", "num_workers")
    ]
    common = [
        "backbone=fmn04",
        "seq=none",
        "train.epochs=1",
        "train.accelerator=cpu",
        "benchmark.seconds=1",
        "benchmark.repeats=3",
        "benchmark.batches=[1]",
    ]
    assert (
        main(["train", "data=synthetic", *scenes, *common, "train.batch_size=4", f"output_dir={tmp_path / 'first'}"])
        == 0
    )
    (first,) = (tmp_path / "first").rglob("model.safetensors")
    status, model = train("seq=none", f"backbone.init={first}", *KEPT)
    assert status == 0
    assert model is not None
    assert close(model.backbone, es.load_model(str(first)).backbone)
