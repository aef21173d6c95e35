"""UrbanSound8K in its published layout: folds, audio files, errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from urbansound8k_files import CLASSES, KINDS, write_urbansound8k

from efficient_sed.audio.io import audio_info
from efficient_sed.data.events import Event, Splits
from efficient_sed.data.sets.urbansound8k import UrbanSound8kConfig
from efficient_sed.errors import DataError
from efficient_sed.experiment.compose import compose_run
from efficient_sed.experiment.folders import run_folder
from efficient_sed.experiment.result_file import read_result
from efficient_sed.experiment.run import run_experiment

SHORT = [
    "data.clip_seconds=1",
    "data.num_workers=0",
    "train.accelerator=cpu",
    "train.batch_size=4",
    "benchmark.seconds=1",
    "benchmark.repeats=3",
    "benchmark.batches=[1]",
    "benchmark.modes=eager",
]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_urbansound8k(tmp_path_factory.mktemp("urbansound8k"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_urbansound8k(tmp_path / "own", seconds=0.2)


def load(root: Path, **options: Any) -> Splits:
    return UrbanSound8kConfig(root=str(root), num_workers=0, **options).load()


def edit(root: Path, old: str, new: str) -> None:
    path = root / "metadata" / "UrbanSound8K.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(("fold", "validation"), [(10, 9), (1, 10), (4, 3)])
def test_folds(published: Path, fold: int, validation: int) -> None:
    splits = load(published, fold=fold)
    assert {clip.id.split("/")[0] for clip in splits.test} == {f"fold{fold}"}
    assert {clip.id.split("/")[0] for clip in splits.validation} == {f"fold{validation}"}
    assert {clip.id.split("/")[0] for clip in splits.train} == {f"fold{k}" for k in range(1, 11)} - {
        f"fold{fold}",
        f"fold{validation}",
    }
    assert splits.classes == CLASSES
    first, second = load(published, fold=1).test
    assert first.events == (Event(0.0, pytest.approx(0.4), "air_conditioner"),)
    assert (second.id, second.events) == ("fold1/1001-1-0-0.wav", (Event(0.0, 1.0, "car_horn"),))


def test_files_of_every_kind(published: Path) -> None:
    """Rates from 8 to 192 kHz, 4 to 32 bits, one or two channels: the same tone in each, at the model's rate."""
    seen = set()
    for clip in load(published).train:
        label = CLASSES.index(clip.events[0].label)
        samples = clip.audio.read(sample_rate=22_050)
        assert len(samples) == pytest.approx(clip.duration_s * 22_050, abs=2)
        spectrum = torch.fft.rfft(samples * torch.hann_window(len(samples))).abs()
        assert int(spectrum.argmax()) / len(samples) * 22_050 == pytest.approx(200 * (label + 1), abs=4)
        assert samples.abs().max() == pytest.approx(0.3, abs=0.05)
        seen.add(audio_info(published / "audio" / clip.id)[1:])
    assert seen == {kind[:2] for kind in KINDS}


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no root": (
        lambda root: root.rename(root.parent / "gone"),
        "data.root={root}: no such directory; give the folder that holds metadata/ and audio/ of UrbanSound8K",
    ),
    "no metadata": (
        lambda root: (root / "metadata" / "UrbanSound8K.csv").unlink(),
        (
            "{csv}: cannot be read (No such file or directory); data.root=DIR is the folder that holds metadata/ and"
            " audio/"
        ),
    ),
    "no column": (
        lambda root: edit(root, ",fold,", ",folder,"),
        "{csv}: column 'fold' is missing; found: slice_file_name, fsID, start, end, salience, folder, classID, class",
    ),
    "fold 11": (lambda root: edit(root, ",1,10,8,", ",1,11,8,"), "{csv}:20: fold='11' is not 1 to 10"),
    "fold 0": (lambda root: edit(root, ",1,1,0,", ",1,0,0,"), "{csv}:2: fold='0' is not 1 to 10"),
    "other class": (
        lambda root: edit(root, ",1,1,1,car_horn", ",1,1,1,carhorn"),
        "{csv}:3: class='carhorn' is not one of the 10 classes; did you mean 'car_horn'?",
    ),
    "other number": (
        lambda root: edit(root, ",1,1,1,car_horn", ",1,1,2,car_horn"),
        "{csv}:3: classID='2' does not belong to class='car_horn', whose number is 1",
    ),
    "recording in two folds": (
        lambda root: edit(root, "1016-6-0-0.wav", "1000-6-0-0.wav"),
        "{csv}:18: 1000-6-0-0.wav is of recording 1000, which fold 1 holds, too; a recording belongs to one fold",
    ),
    "no name": (lambda root: edit(root, "1001-1-0-0.wav", ""), "{csv}:3: the file name is empty"),
    "no audio": (
        lambda root: (root / "audio/fold9/1016-6-0-0.wav").unlink(),
        "{root}/audio/fold9/1016-6-0-0.wav: no such audio file; data.on_error=skip leaves such files out",
    ),
    "not audio": (
        lambda root: (root / "audio/fold9/1016-6-0-0.wav").write_bytes(b"RIFF"),
        "{root}/audio/fold9/1016-6-0-0.wav: ",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str, root: Path) -> None:
    change, message = BAD[name]
    change(root)
    with pytest.raises(DataError) as caught:
        load(root)
    assert str(caught.value).startswith(message.format(root=root, csv=root / "metadata" / "UrbanSound8K.csv"))
    assert "\n" not in str(caught.value)


def test_a_missing_file_can_be_left_out(root: Path) -> None:
    (root / "audio/fold9/1016-6-0-0.wav").unlink()
    assert [clip.id for clip in load(root, on_error="skip").validation] == ["fold9/1017-7-0-0.wav"]


def test_a_run_chooses_one_class_a_clip(published: Path, tmp_path: Path) -> None:
    """Softmax over the mean of the frames, accuracy and F1 of each class beside mAP, in validation and result."""
    typed = [
        "experiment=prinzivalle_monophonic",
        "model=prinzivalle-mono-proposed",
        f"data.root={published}",
        f"output_dir={tmp_path}",
        "train.epochs=2",
        *SHORT,
    ]
    config = compose_run(typed)
    result = run_experiment(config, show_progress=False)
    metrics = result["metrics"]
    assert read_result(run_folder(config)) == result
    assert (result["model"], result["task"]) == ("prinzivalle-mono-proposed", "tagging")
    assert {"map", "accuracy", "f1_macro", "f1_per_class"} <= metrics.keys()
    assert metrics["f1_per_class"].keys() == {"siren", "street_music"}
    assert 0 <= metrics["accuracy"] <= 1
    assert (result["training"]["monitor"], result["training"]["epochs"]) == ("val/loss", 2)
    header = (run_folder(config) / "metrics.csv").read_text().splitlines()[0]
    assert {"val/accuracy", "val/f1_macro", "val/loss"} <= set(header.split(","))
    assert (
        result["training"]["best_score"] < 4
    )  # of a cross-entropy of ten classes, where one by sigmoids would be below 1
    assert result["training"]["best_score"] > 1
