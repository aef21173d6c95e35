"""DCASE 2016 Task 2 in HEAR's layout: what is read, and the line that names what cannot be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dcase2016_files import LABELS, write_dcase2016

from efficient_sed.data.events import Event, Splits
from efficient_sed.data.sets.dcase2016_task2 import Dcase2016Task2Config
from efficient_sed.errors import DataError
from efficient_sed.experiment.compose import compose_run
from efficient_sed.experiment.folders import run_folder
from efficient_sed.experiment.result_file import read_result
from efficient_sed.experiment.run import run_experiment


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_dcase2016(tmp_path / "hear", seconds=4.0)


def load(root: Path, **options: Any) -> Splits:
    return Dcase2016Task2Config(root=str(root), num_workers=0, **options).load()


def edit(root: Path, name: str, change: Callable[[Any], None]) -> None:
    content = json.loads((root / name).read_text())
    change(content)
    (root / name).write_text(json.dumps(content))


def test_what_is_read(root: Path) -> None:
    splits = load(root)
    assert splits.classes == LABELS
    assert len(splits.classes) == 11
    assert [clip.id for clip in splits.train] == ["train_0.wav", "train_1.wav", "train_2.wav"]
    assert [len(clips) for clips in (splits.validation, splits.test)] == [2, 2]
    first, second, silent = splits.train
    assert (str(first.audio), first.duration_s) == (str(root / "16000" / "train" / "train_0.wav"), 4.0)
    assert str(splits.validation[0].audio) == str(root / "16000" / "valid" / "valid_0.wav")
    assert first.events == (Event(0.25, 1.375, "clearthroat"), Event(1.0, 2.5, "cough"))
    assert silent.events == ()
    assert second.events
    assert Dcase2016Task2Config.has_event_scores


def test_events_of_one_class_are_joined(root: Path) -> None:
    edit(
        root,
        "train.json",
        lambda content: content["train_0.wav"].append({"label": "cough", "start": 2400.5, "end": 3000}),
    )
    assert load(root).train[0].events[1] == Event(1.0, 3.0, "cough")


def test_another_rate_where_16000_is_missing(root: Path) -> None:
    assert write_dcase2016(root, seconds=4.0, rate=48_000) == root
    assert "/16000/" in str(load(root).test[0].audio)
    (root / "16000").rename(root / "8000")
    (root / "16000.tar").touch()
    clip = load(root).test[0]
    assert "/48000/test/" in str(clip.audio)
    assert len(clip.audio.read(1.0, 2.0)) == 32_000
    (root / "48000").rename(root / "gone")
    with pytest.raises(DataError) as caught:
        load(root)
    assert str(caught.value) == f"{root}: no folder 16000/ (or 48000/ and the like) of audio files in it"


def event(**changes: Any) -> Callable[[Path], None]:
    """A further event in the second file of the test part."""
    return lambda root: edit(
        root,
        "test.json",
        lambda content: content["test_1.wav"].append({"label": "cough", "start": 0, "end": 10} | changes),
    )


def write(name: str, text: str) -> Callable[[Path], Any]:
    return lambda root: (root / name).write_text(text)


def vocabulary(*rows: str) -> Callable[[Path], Any]:
    return write("labelvocabulary.csv", "\n".join(["idx,label", *rows]) + "\n")


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no root": (
        lambda root: root.rename(root.parent / "gone"),
        "data.root={root}: no such directory; give the folder that holds HEAR's train.json as data.root=DIR",
    ),
    "no json": (
        lambda root: (root / "valid.json").unlink(),
        (
            "{root}/valid.json: cannot be read (No such file or directory); data.root=DIR is the folder that holds it"
            " in HEAR's layout"
        ),
    ),
    "no vocabulary": (
        lambda root: (root / "labelvocabulary.csv").unlink(),
        (
            "{root}/labelvocabulary.csv: cannot be read (No such file or directory); data.root=DIR is the folder that"
            " holds it in HEAR's layout"
        ),
    ),
    "no column": (
        write("labelvocabulary.csv", "index,label\n0,cough\n"),
        "{root}/labelvocabulary.csv: column 'idx' is missing; found: index, label; needed: idx,label",
    ),
    "empty vocabulary": (
        write("labelvocabulary.csv", ""),
        "{root}/labelvocabulary.csv: column 'idx' is missing; found: nothing; needed: idx,label",
    ),
    "no labels": (vocabulary(), "{root}/labelvocabulary.csv: holds no label"),
    "idx twice": (
        vocabulary("0,cough", "0,keys"),
        "{root}/labelvocabulary.csv:3: idx=0 stands there twice, for 'cough' and 'keys'",
    ),
    "label twice": (vocabulary("0,cough", "1,cough"), "{root}/labelvocabulary.csv:3: label='cough' stands there twice"),
    "no label": (vocabulary("0,"), "{root}/labelvocabulary.csv:2: label='' is empty"),
    "no idx": (vocabulary("-1,cough"), "{root}/labelvocabulary.csv:2: idx='-1' is not a whole number from 0"),
    "idx missing": (
        vocabulary("0,cough", "2,keys"),
        "{root}/labelvocabulary.csv: idx=1 is missing; 2 labels are counted from 0 to 1",
    ),
    "not JSON": (write("test.json", '{"a.wav":\n [}'), "{root}/test.json:2: not JSON (Expecting value)"),
    "a list": (write("test.json", "[]"), "{root}/test.json: must hold {{file name: [event, …]}}"),
    "a file twice": (write("test.json", '{"a.wav": [], "a.wav": []}'), "{root}/test.json: 'a.wav' stands there twice"),
    "no events": (write("test.json", '{"a.wav": {}}'), "{root}/test.json: must hold {{file name: [event, …]}}"),
    "an event without end": (
        lambda root: edit(
            root, "test.json", lambda content: content["test_0.wav"].append({"label": "cough", "start": 1})
        ),
        '{root}/test.json: test_0.wav, event 3: {{"label": "cough", "start": 1}} has not all of label, start and end',
    ),
    "other label": (
        event(label="drawers"),
        (
            "{root}/test.json: test_1.wav, event 3: label 'drawers' is not in labelvocabulary.csv; did you mean"
            " 'drawer'? allowed: "
        ),
    ),
    "negative": (
        event(start=-5),
        "{root}/test.json: test_1.wav, event 3: start=-5 must be at least 0 and before end=10",
    ),
    "reversed": (
        event(start=20),
        "{root}/test.json: test_1.wav, event 3: start=20 must be at least 0 and before end=10",
    ),
    "no number": (event(start="1"), "{root}/test.json: test_1.wav, event 3: start='1', end=10 are not milliseconds"),
    "not finite": (event(end=float("nan")), "{root}/test.json: not JSON (NaN is not a number)"),
    "beyond the end": (
        event(end=5101),
        (
            "{root}/16000/test/test_1.wav: event 'cough' at 0-5.101 s lies beyond the file's end at 4 s by more than 1"
            " s; correct its times; data.on_error=skip leaves such files out"
        ),
    ),
    "no audio": (
        lambda root: (root / "16000/valid/valid_1.wav").unlink(),
        "{root}/16000/valid/valid_1.wav: no such audio file; data.on_error=skip leaves such files out",
    ),
    "no clips": (write("valid.json", "{}"), "{root}/16000/valid: 0 clips for validation; add rows to its annotations"),
    "two parts": (
        lambda root: edit(root, "test.json", lambda content: content.update({"train_1.wav": []})),
        (
            "{root}/16000/train/train_1.wav: stands in the parts train and test; a file belongs to one, else scores"
            " mean nothing"
        ),
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str, root: Path) -> None:
    change, message = BAD[name]
    change(root)
    with pytest.raises(DataError) as caught:
        load(root)
    assert str(caught.value).startswith(message.format(root=root))
    assert "\n" not in str(caught.value)


def test_missing_audio_can_be_left_out(root: Path) -> None:
    (root / "16000/valid/valid_1.wav").unlink()
    splits = load(root, on_error="skip")
    assert [clip.id for clip in splits.validation] == ["valid_0.wav"]
    assert splits.skipped == (f"{root}/16000/valid/valid_1.wav: no such audio file",)


def test_a_run_carries_both_scores(root: Path, tmp_path: Path) -> None:
    """Windows of a longer recording, event scores beside PSDS1, both in validation and in the result."""
    typed = [
        "data=dcase2016_task2",
        f"data.root={root}",
        "data.clip_seconds=2",
        "data.num_workers=0",
        "backbone=fmn04",
        "seq=none",
        "train.epochs=1",
        "train.batch_size=2",
    ]
    config = compose_run(
        [
            *typed,
            "train.accelerator=cpu",
            f"output_dir={tmp_path / 'runs'}",
            "benchmark.seconds=1",
            "benchmark.repeats=3",
            "benchmark.batches=[1]",
            "train.weight_decay=0.001",
        ]
    )
    result = run_experiment(config, show_progress=False)
    metrics = result["metrics"]
    assert read_result(run_folder(config)) == result
    assert {
        "psds1_macro",
        "psds1",
        "onset_f",
        "onset_f_macro",
        "segment_error_rate",
        "postprocessing",
    } <= metrics.keys()
    assert metrics["variant"]["median_frames"] == 7
    assert metrics["postprocessing"].keys() == {"median_s", "min_duration_s", "threshold"}
    assert 0 <= metrics["onset_f"] <= 1
    assert metrics["segment_error_rate"] >= 0
    assert result["training"]["monitor"] == "val/psds1_macro"
    assert "val/onset_f,val/onset_f_macro" in (run_folder(config) / "metrics.csv").read_text().splitlines()[0]
