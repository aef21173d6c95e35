"""Files with weak, soft or no labels in a folder of own recordings."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.dataset import Item, TrainingClips, collate
from efficient_sed.data.events import Event, Group, Splits, hard_events
from efficient_sed.data.sets.folder import FolderConfig
from efficient_sed.errors import DataError

HEADER = "filename\tonset\toffset\tevent_label"
SOFT_HEADER = f"{HEADER}\tconfidence"
GRID = FrameGrid()


def write(root: Path, name: str, *lines: str) -> None:
    (root / name).write_text("\n".join(lines) + "\n")


def record(path: Path, seconds: float = 2.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(int(seconds * 16_000), 0.1), 16_000)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One strong, two weak and two unlabelled recordings to train on."""
    for name in ("a", "b", "c", "v", "t"):
        record(tmp_path / "audio" / f"{name}.wav")
    record(tmp_path / "unlabeled" / "x.wav", 1.0)
    record(tmp_path / "unlabeled" / "sub" / "a.wav")
    for part, file in (("train", "a"), ("validation", "v"), ("test", "t")):
        write(tmp_path, f"{part}.tsv", HEADER, f"{file}.wav\t0.5\t1.5\tdog", f"{file}.wav\t0\t1\tbell")
    write(tmp_path, "weak.tsv", "filename\tevent_labels", "./b.wav\tbell, dog,dog", "c.wav\t")
    return tmp_path


def load(root: Path, **options: Any) -> Splits:
    return FolderConfig(root=str(root), num_workers=0, **options).load()


def test_what_is_there_is_found(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        splits = load(root)
    assert [message for message in caplog.messages if "training clips" in message] == [
        f"{root}/weak.tsv: 2 weak training clips",
        f"{root}/unlabeled: 2 unlabelled training clips",
    ]
    assert [clip.id for clip in splits.train] == ["a.wav", "b.wav", "c.wav", "unlabeled/sub/a.wav", "unlabeled/x.wav"]
    weak, unlabelled = Group("weak", "weak"), Group("unlabelled", "unlabelled")
    assert [clip.group for clip in splits.train] == [Group(), weak, weak, unlabelled, unlabelled]
    assert splits.train[1].events == (Event(0.0, 2.0, "bell"), Event(0.0, 2.0, "dog"))
    assert not splits.train[2].events
    assert {clip.group for clip in (*splits.validation, *splits.test)} == {Group()}
    alone = load(root, weak=None, unlabelled=None)
    assert [clip.id for clip in alone.train] == ["a.wav"]
    assert alone.manifest_hash != splits.manifest_hash


def test_a_folder_without_them_is_what_it_was(root: Path) -> None:
    expected = load(root, weak=None, unlabelled=None)
    (root / "weak.tsv").unlink()
    (root / "unlabeled").rename(root / "elsewhere")
    assert load(root) == expected
    assert load(root).manifest_hash == expected.manifest_hash
    assert len(load(root, unlabelled="elsewhere").train) == 3


def test_items_by_kind(root: Path) -> None:
    splits = load(root)
    dataset = TrainingClips(splits.train, splits.classes, GRID, 2.0, 0)
    items = [dataset[0, index] for index in range(5)]
    assert all(isinstance(item, Item) for item in items)
    batch = collate(items)
    assert (batch.kinds.tolist(), batch.groups.tolist()) == ([0, 2, 2, 3, 3], [0, 1, 1, 2, 2])
    assert batch.targets[0].mean() == pytest.approx(0.5, abs=0.02)
    assert (batch.targets[1] == 1).all()
    assert not batch.targets[2:].any()


def test_soft_labels(root: Path) -> None:
    rows = [f"{{}}.wav\t{start}\t{start + 1}\tdog\t{score}" for start, score in ((0, 0.25), (1, 0.75))]
    zero = "{}.wav\t0\t2\tbell\t0"
    for part, file in (("train", "a"), ("validation", "v"), ("test", "t")):
        write(root, f"{part}.tsv", SOFT_HEADER, *(row.format(file) for row in (*rows, zero)))
    splits = load(root, is_soft=True, classes=("bell", "dog"))
    (clip, *_) = splits.train
    assert clip.group == Group("soft")
    assert clip.events == (Event(0.0, 1.0, "dog", 0.25), Event(1.0, 2.0, "dog", 0.75))  # which touch, and stay apart
    assert hard_events(clip) == (Event(1.0, 2.0, "dog"),)
    item = TrainingClips(splits.train, splits.classes, GRID, 2.0, 0)[0, 0]
    assert isinstance(item, Item)
    assert item.targets[1].tolist() == [0.25] * 25 + [0.75] * 25
    assert not item.targets[0].any()
    with pytest.raises(
        DataError, match=r"confidence='0\.25', but .*; data=folder data\.is_soft=true takes 'confidence'"
    ):
        load(root)


def test_weak_labels_with_commas(root: Path) -> None:
    """And a name without its ending, as event tables have it."""
    classes = ("bell", "dog", "home", "home, garden", "home, garden, sea")
    write(root, "weak.tsv", "filename\tevent_labels", "b\thome, garden,dog", "c.wav\tdog,home, garden, sea,home")
    splits = load(root, classes=classes)
    assert [clip.id for clip in splits.train[:3]] == ["a.wav", "b.wav", "c.wav"]
    labels = [{event.label for event in clip.events} for clip in splits.train[1:3]]
    assert labels == [{"home, garden", "dog"}, {"dog", "home, garden, sea", "home"}]


def test_weak_labels_without_strong_ones(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert [clip.id for clip in load(root, train=None, unlabelled=None).train] == ["a.wav", "b.wav", "c.wav"]
    unused = "labels of whole files are not used with data.train=null, which takes none"
    assert f"{root}/weak.tsv: {unused}" in caplog.messages
    caplog.clear()
    load(root, train=None, unlabelled=None, weak=None)
    assert unused not in caplog.text
    (root / "weak.tsv").rename(root / "own.tsv")
    with pytest.raises(DataError, match=f"^data.weak=own.tsv: {unused}; data.weak=null leaves them out$"):
        load(root, train=None, weak="own.tsv")


BAD: list[tuple[str, Callable[[Path], Any], dict[str, Any], str]] = [
    (
        "strong and weak", lambda root: write(root, "weak.tsv", "filename\tevent_labels", "a.wav\tdog"), {},
        r"{root}/audio/a\.wav: stands in the train part and in {root}/weak\.tsv; a file has labels of one kind, .*",
    ),
    (
        "tested and weak", lambda root: write(root, "weak.tsv", "filename\tevent_labels", "t.wav\tdog"), {},
        r"{root}/audio/t\.wav: stands in the test part and in {root}/weak\.tsv; .*",
    ),
    (
        "weak and unlabelled", lambda _: None, {"unlabelled": "audio"},
        r"{root}/audio/a\.wav: stands in the train part and in {root}/audio; .*",
    ),
    (
        "unknown label", lambda root: write(root, "weak.tsv", "filename\tevent_labels", "b.wav\tdog,dgo"), {},
        r"{root}/weak\.tsv:2: label 'dgo' is none of the classes; did you mean 'dog'\? .*",
    ),
    (
        "twice", lambda root: write(root, "weak.tsv", "filename\tevent_labels", "b.wav\tdog", "b.wav\tbell"), {},
        r"{root}/weak\.tsv:3: 'b\.wav' is there twice; put all its labels into one row, joined by commas",
    ),
    (
        "no column", lambda root: write(root, "weak.tsv", "filename\tlabels", "b.wav\tdog"), {},
        r"{root}/weak\.tsv: column 'event_labels' is missing; .*",
    ),
    (
        "no name", lambda root: write(root, "weak.tsv", "filename\tevent_labels", "\tdog"), {},
        r"{root}/weak\.tsv:2: the filename is empty",
    ),
    (
        "no file", lambda root: write(root, "weak.tsv", "filename\tevent_labels", "z.wav\tdog"), {},
        r"{root}/audio/z\.wav: no such audio file.*",
    ),
    ("no table", lambda _: None, {"weak": "wek.tsv"}, r"data\.weak=wek\.tsv: {root}/wek\.tsv is not there; .*"),
    ("no folder", lambda _: None, {"unlabelled": "no"}, r"data\.unlabelled=no: {root}/no is not there; .*"),
    (
        "both spellings", lambda root: (root / "unlabelled").mkdir(), {},
        r"{root}/unlabelled and {root}/unlabeled are both there; rename one, or name it: data\.unlabelled=DIR",
    ),
    (
        "no confidence", lambda _: None, {"is_soft": True},
        r"{root}/train\.tsv: column 'confidence' is missing; .*",
    ),
    (
        "tested under another spelling",
        lambda root: write(
            root, "test.json", '[{"file": "./a.wav", "events": [{"onset_s": 0, "offset_s": 1, "label": "dog"}]}]'
        ),
        {"test": "test.json"}, r"{root}/audio/a\.wav: stands in the parts train and test; .*",
    ),
    (
        "beyond one", lambda root: write(root, "train.tsv", SOFT_HEADER, "a.wav\t0\t1\tdog\t1.5"), {"is_soft": True},
        r"{root}/train\.tsv:2: confidence='1\.5' is not allowed: a number from 0 to 1",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "options", "message"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_bad_folders(root: Path, spoil: Callable[[Path], Any], options: dict[str, Any], message: str) -> None:
    spoil(root)
    with pytest.raises(DataError, match=f"^{message.replace('{root}', str(root))}$") as caught:
        load(root, **options)
    assert "\n" not in str(caught.value)
