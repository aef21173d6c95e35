"""Data sets in folds: parts, cross-validation as one grid, errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fold_files import write_esc50, write_ravdess
from tut_folds_files import write_tut_2016, write_tut_2017
from urbansound8k_files import write_urbansound8k

from efficient_sed.data.events import Event, Splits
from efficient_sed.data.sets._folds import FoldsConfig
from efficient_sed.data.sets.esc50 import Esc50Config
from efficient_sed.data.sets.ravdess import RavdessConfig
from efficient_sed.errors import ConfigError, DataError
from efficient_sed.experiment.compose import compose_run
from efficient_sed.experiment.folders import run_folder
from efficient_sed.experiment.record import repeated_rows
from efficient_sed.experiment.result_file import read_result
from efficient_sed.experiment.run import run_experiment
from efficient_sed.experiment.score import score_checkpoint
from efficient_sed.registry import DATASETS
from efficient_sed.sweep.grid import expand_grid

WRITERS: dict[str, Callable[[Path], Path]] = {
    "esc50": write_esc50,
    "ravdess": write_ravdess,
    "tut_sed_2016": write_tut_2016,
    "tut_sed_2017": write_tut_2017,
    "urbansound8k": write_urbansound8k,
}
FOLDED = [name for name in DATASETS.names() if issubclass(DATASETS.get(name), FoldsConfig)]
SHORT = [
    *(
        "seq=none",
        "backbone=fmn04",
        "task=tagging",
        "data.clip_seconds=1",
        "data.num_workers=0",
        "train.epochs=1",
        "train.batch_size=8",
    ),
    *(
        "train.accelerator=cpu",
        "benchmark.seconds=1",
        "benchmark.repeats=3",
        "benchmark.batches=[1]",
        "benchmark.modes=eager",
    ),
]


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: write(tmp_path_factory.mktemp(name)) for name, write in WRITERS.items()}


def load(name: str, root: Path, **options: Any) -> Splits:
    config = DATASETS.get(name)(root=str(root), num_workers=0, **options)
    splits: Splits = config.load()
    return splits


def ids(splits: Splits, *parts: str) -> list[str]:
    return sorted(clip.id for part in parts for clip in getattr(splits, part))


def test_every_data_set_with_folds_is_tested_here() -> None:
    assert sorted(FOLDED) == sorted(WRITERS)


@pytest.mark.parametrize("name", WRITERS)
def test_each_clip_is_tested_on_once(name: str, roots: dict[str, Path]) -> None:
    folds = [load(name, roots[name], fold=fold) for fold in range(1, DATASETS.get(name).num_folds + 1)]
    everything = ids(folds[0], "train", "validation", "test")
    assert len(set(everything)) == len(everything) > 0
    assert sorted(clip for splits in folds for clip in ids(splits, "test")) == everything
    assert sorted(clip for splits in folds for clip in ids(splits, "validation")) == everything
    assert all(ids(splits, "train", "validation", "test") == everything for splits in folds)
    assert {splits.manifest_hash for splits in folds} == {folds[0].manifest_hash}  # one collection
    with pytest.raises(ConfigError, match=rf"data\.fold={len(folds) + 1} is not allowed: 1 to {len(folds)}"):
        load(name, roots[name], fold=len(folds) + 1)


@pytest.mark.parametrize("name", WRITERS)
def test_without_a_validation_fold_all_others_are_trained_on(name: str, roots: dict[str, Path]) -> None:
    with_fold, without = load(name, roots[name], fold=1), load(name, roots[name], fold=1, has_validation_fold=False)
    assert ids(without, "train") == ids(with_fold, "train", "validation")
    assert without.validation == without.test == with_fold.test
    assert without.manifest_hash == with_fold.manifest_hash
    with pytest.raises(
        ConfigError, match=r"data\.has_validation_fold=false is not allowed: only with train\.select=last"
    ):
        compose_run([f"data={name}", "data.has_validation_fold=false", "task=tagging"])


def test_esc50(roots: dict[str, Path]) -> None:
    splits = load("esc50", roots["esc50"], fold=2)
    assert ids(splits, "test") == ["2-1000-A-0.wav", "2-1001-A-1.wav", "2-1049-A-49.wav"]
    assert ids(splits, "validation")[0] == "1-1000-A-0.wav"
    assert len(splits.classes) == len(set(splits.classes)) == 50
    assert [clip.events for clip in splits.test] == [
        (Event(0.0, 0.5, label),) for label in ("dog", "rooster", "hand_saw")
    ]


def test_ravdess_keeps_actors_apart(roots: dict[str, Path]) -> None:
    splits = load("ravdess", roots["ravdess"], fold=2)
    assert {clip.id.split("/")[0] for clip in splits.test} == {f"Actor_{actor:02}" for actor in range(7, 13)}
    assert {clip.events[0].label for clip in splits.test} == {"neutral", "angry", "surprised"}
    assert len(splits.train) == 12 * 3


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


BAD_ESC50: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no index": (
        lambda root: (root / "meta/esc50.csv").unlink(),
        (
            "{root}/meta/esc50.csv: cannot be read (No such file or directory); data.root=DIR is the folder that holds"
            " meta/ and audio/"
        ),
    ),
    "fold 6": (
        lambda root: edit(root / "meta/esc50.csv", "A-0.wav,5,", "A-0.wav,6,"),
        "{root}/meta/esc50.csv:14: fold='6' is not 1 to 5",
    ),
    "no column": (
        lambda root: edit(root / "meta/esc50.csv", "category", "class"),
        "{root}/meta/esc50.csv: column 'category' is missing; found: filename, fold, target, class",
    ),
    "other class": (
        lambda root: edit(root / "meta/esc50.csv", "hand_saw", "handsaw"),
        "{root}/meta/esc50.csv:4: category='handsaw' is not one of the 50 classes; did you mean 'hand_saw'?",
    ),
    "other number": (
        lambda root: edit(root / "meta/esc50.csv", ",1,rooster", ",2,rooster"),
        "{root}/meta/esc50.csv:3: target='2' does not belong to category='rooster', whose number is 1",
    ),
    "no name": (
        lambda root: edit(root / "meta/esc50.csv", "1-1000-A-0.wav", ""),
        "{root}/meta/esc50.csv:2: the file name is empty",
    ),
    "twice": (
        lambda root: edit(root / "meta/esc50.csv", "2-1000-A-0.wav", "1-1000-A-0.wav"),
        "{root}/meta/esc50.csv:5: 1-1000-A-0.wav is listed a second time; a file belongs to one fold and one class",
    ),
    "no audio": (
        lambda root: (root / "audio/1-1000-A-0.wav").unlink(),
        "{root}/audio/1-1000-A-0.wav: no such audio file",
    ),
    "an empty fold": (
        lambda root: edit(root / "meta/esc50.csv", ".wav,1,", ".wav,2,"),
        "{root}/audio: 0 clips for test; ",
    ),
}
BAD_RAVDESS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no actors": (
        lambda root: root.replace(root.with_name("other")) and root.mkdir(),
        "data.root={root}: holds no Actor_NN/*.wav; give the folder that holds Actor_01/ to Actor_24/",
    ),
    "other name": (
        lambda root: rename(root, "hello.wav"),
        "{root}/Actor_01/hello.wav: not a name of RAVDESS, which are 03-01-EMOTION-",
    ),
    "emotion 9": (
        lambda root: rename(root, "03-01-09-01-02-01-01.wav"),
        "{root}/Actor_01/03-01-09-01-02-01-01.wav: not a name of RAVDESS",
    ),
    "actor 25": (
        lambda root: rename(root, "03-01-01-01-02-01-25.wav"),
        "{root}/Actor_01/03-01-01-01-02-01-25.wav: not a name of RAVDESS",
    ),
    "an actor on both sides": (
        lambda root: rename(root, "03-01-01-01-02-01-24.wav"),
        (
            "{root}/Actor_01/03-01-01-01-02-01-24.wav: its name says actor 24, its folder Actor_01: the actor would"
            " stand on both sides of a fold"
        ),
    ),
    "a song": (
        lambda root: rename(root, "03-02-01-01-02-01-01.wav"),
        (
            "{root}/Actor_01/03-02-01-01-02-01-01.wav: modality 03 and channel 02; this data set is spoken audio alone,"
            " 03-01"
        ),
    ),
}


def rename(root: Path, name: str) -> None:
    (root / "Actor_01/03-01-01-01-02-01-01.wav").rename(root / "Actor_01" / name)


@pytest.mark.parametrize("name", BAD_ESC50)
def test_bad_esc50(name: str, tmp_path: Path) -> None:
    check_bad(write_esc50(tmp_path / "data", seconds=0.1), Esc50Config, *BAD_ESC50[name])


@pytest.mark.parametrize("name", BAD_RAVDESS)
def test_bad_ravdess(name: str, tmp_path: Path) -> None:
    check_bad(write_ravdess(tmp_path / "data", seconds=0.1), RavdessConfig, *BAD_RAVDESS[name])


def check_bad(root: Path, config: type[FoldsConfig], change: Callable[[Path], Any], message: str) -> None:
    change(root)
    with pytest.raises(DataError) as caught:
        config(root=str(root), num_workers=0).load()
    assert str(caught.value).startswith(message.format(root=root))
    assert "\n" not in str(caught.value)


def test_a_grid_takes_each_fold() -> None:
    def folds(*typed: str) -> list[tuple[int, int]]:
        points = expand_grid(["task=tagging", *typed])
        return [
            (point.config.seed, point.config.data.fold)
            for point in points
            if isinstance(point.config.data, FoldsConfig)
        ]

    assert folds("data=esc50", "folds=all") == [(0, fold) for fold in range(1, 6)]
    assert folds("data=ravdess", "folds=2,4", "seeds=0,1") == [(0, 2), (1, 2), (0, 4), (1, 4)]
    assert len(folds("data=esc50,ravdess", "folds=all")) == 9


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["data=synthetic", "folds=all"], "folds=all: data=synthetic has no folds; data sets that have: "),
        (
            ["data=esc50", "folds=all", "data.fold=1"],
            "data.fold and folds mean the same in a grid; give one of them, such as folds=all",
        ),
        (["data=esc50", "folds=1,6"], "data.fold=6 is not allowed: 1 to 5"),
    ],
)
def test_bad_grids(typed: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match="^" + message.replace(".", r"\.")):
        expand_grid(typed)


@pytest.mark.parametrize("typed", ["folds=all", "folds=1", "data.fold=all"])
def test_a_run_takes_one_fold(typed: str) -> None:
    with pytest.raises(
        ConfigError, match=r"folds are for `sweep`, as folds=all; a run takes one, such as data\.fold=1"
    ):
        compose_run(["data=esc50", typed])


def test_cross_validation_gives_one_row(roots: dict[str, Path], tmp_path: Path) -> None:
    """Mean and standard deviation of accuracy over the folds."""
    results = []
    for fold in (1, 2, 3):
        config = compose_run(
            [*SHORT, "data=esc50", f"data.root={roots['esc50']}", f"data.fold={fold}", f"output_dir={tmp_path}"]
        )
        results.append(run_experiment(config, show_progress=False))
        assert read_result(run_folder(config)) == results[-1]
        assert f"_esc50-fold{fold}_" in run_folder(config).name
    (row,) = repeated_rows(results)
    accuracies = [result["metrics"]["accuracy"] for result in results]
    assert (row["metric"], row["num_runs"], row["fold"], row["seed"]) == ("accuracy", 3, "1 2 3", 0)
    assert row["score"] == pytest.approx(sum(accuracies) / 3)
    assert row["score_sd"] is not None
    weights, typed = (
        str(run_folder(config) / "model.safetensors"),
        ["data=esc50", f"data.root={roots['esc50']}", "task=tagging", "data.num_workers=0"],
    )
    scored = score_checkpoint(weights, compose_run(typed), "test", {"data"})  # its own fold
    assert (scored["data"]["fold"], scored["accuracy"]) == (3, pytest.approx(accuracies[2]))
    with pytest.raises(
        ConfigError,
        match=(
            r"data\.fold=2 is not allowed: .*model\.safetensors was trained on clips of its test part; what it was not"
            r" trained on is data\.fold=3"
        ),
    ):
        score_checkpoint(weights, compose_run([*typed, "data.fold=2"]), "test", {"data", "data.fold"})
