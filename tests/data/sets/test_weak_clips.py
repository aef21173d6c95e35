"""AudioSet Weak beside AudioSet Strong, in every layout, without clips that are evaluated."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from audioset_files import (
    MUSIC,
    SEGMENTS,
    SPEECH,
    VIDEOS,
    mp3_files,
    write_arrow,
    write_folder,
    write_hdf5,
    write_segments,
    write_tables,
)

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.cli.main import main
from efficient_sed.data.dataset import Item, TrainingClips, collate
from efficient_sed.data.events import FRAMEWISE, KINDS, PARTS, Clip, Group, Splits
from efficient_sed.data.sets.audioset_strong import AudioSetStrongConfig
from efficient_sed.data.storage.columns import of_kinds
from efficient_sed.errors import DataError

TRAINING = [f"Y{video}.mp3" for split in ("balanced_train", "unbalanced_train") for video in SEGMENTS[split]]
LAYOUTS = ("arrow", "hdf5", "folder")


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Strong and weak set in every layout; two clips that the weak one trains on are evaluated by the strong one."""
    root, files = tmp_path_factory.mktemp("audioset"), mp3_files()
    with pytest.MonkeyPatch.context() as patch:
        for name in LAYOUTS:
            (root / name / "strong").mkdir(parents=True)
            write_all(root / name / "strong", name, files, "strong")
        patch.setitem(
            SEGMENTS,
            "unbalanced_train",
            SEGMENTS["unbalanced_train"] | {"f-fffffffff": (30, [], [SPEECH]), "hhhhhhhhhhh": (30, [], [MUSIC])},
        )
        for name in LAYOUTS:
            (root / name / "weak").mkdir()
            write_all(root / name / "weak", name, files, "weak")
    return root


def write_all(root: Path, name: str, files: dict[str, bytes], task: str) -> None:
    if name == "arrow":
        write_arrow(root, files, task)
    elif name == "hdf5":
        write_hdf5(root, files)
    else:
        write_folder(root, files)
    if task == "strong":
        write_tables(root)
    else:
        write_segments(root)


def load(root: Path, weak_root: Path | None, **options: Any) -> Splits:
    return AudioSetStrongConfig(
        root=str(root), weak_root=None if weak_root is None else str(weak_root), num_workers=0, **options
    ).load()


def weak_of(splits: Splits) -> Sequence[Clip]:
    return of_kinds(splits.train, ["unlabelled"])


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(roots: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    splits = load(roots / name / "strong", roots / name / "weak")
    assert [clip.id for clip in weak_of(splits)] == sorted(
        TRAINING
    )  # of seven two are evaluated, one of them without an evaluated class
    assert (
        f"{roots / name / 'weak'}: 2 weak clips also stand in the strong validation or evaluation part and are left out"
        in caplog.messages
    )
    assert splits.expected is not None
    assert splits.expected["train"] == 103_463 + 22_160 + 2_041_789 - 2
    assert {clip.group for clip in weak_of(splits)} == {Group("unlabelled", "weak")}
    assert {event.label for clip in weak_of(splits) for event in clip.events} == {"Bark", "Speech", "Music"}
    alone = load(roots / name / "strong", None)
    strong = of_kinds(splits.train, FRAMEWISE)
    assert replace(splits, train=strong, expected=alone.expected, num_skipped=alone.num_skipped) == alone
    reference = load(roots / "arrow" / "strong", roots / "arrow" / "weak")
    assert splits.manifest_hash == reference.manifest_hash != alone.manifest_hash


def test_a_layout_for_each(roots: Path) -> None:
    assert (
        load(roots / "hdf5" / "strong", roots / "arrow" / "weak").manifest_hash
        == load(roots / "arrow" / "strong", roots / "folder" / "weak").manifest_hash
    )


def test_hash_without_weak_clips(tiny_data: Splits) -> None:
    """It is what it was before there were any."""
    digest = hashlib.sha256(repr(tiny_data.classes).encode())
    for part in PARTS:
        for clip in getattr(tiny_data, part):
            digest.update(
                repr((part, clip.id, clip.audio.content_hash(), round(clip.duration_s, 6), clip.events)).encode()
            )
    assert tiny_data.manifest_hash == digest.hexdigest()[:16]
    for change in ({"kind": "soft"}, {"subset": "synthetic"}, {"annotated": tiny_data.classes}):
        changed = tuple(replace(clip, **change) for clip in tiny_data.train)
        assert replace(tiny_data, train=changed).manifest_hash != tiny_data.manifest_hash


def test_held_out_clips_are_not_taught(roots: Path) -> None:
    splits = load(roots / "arrow" / "strong", roots / "arrow" / "weak", validation_share=0.5)
    assert splits.validation
    assert 0 < len(weak_of(splits)) < 5
    assert {clip.id for clip in weak_of(splits)} == {clip.id for clip in of_kinds(splits.train, FRAMEWISE)}


def test_targets_are_zeros(roots: Path) -> None:
    splits = load(roots / "arrow" / "strong", roots / "arrow" / "weak")
    dataset = TrainingClips(splits.train, splits.classes, FrameGrid(), 10, 0)
    assert len(dataset) == 10
    strong, weak = dataset[0, 0], dataset[0, 5]
    assert isinstance(strong, Item)
    assert isinstance(weak, Item)
    assert splits.train[0].id == splits.train[5].id
    assert torch.equal(strong.waveform, weak.waveform)
    assert strong.targets.any()
    assert not weak.targets.any()
    batch = collate([strong, weak])
    assert [KINDS[kind] for kind in batch.kinds] == ["strong", "unlabelled"]
    assert (batch.groups.tolist(), batch.is_distilled.tolist(), batch.annotated) == ([0, 1], [False, False], None)


def test_check_and_manifest(roots: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "data=audioset_strong",
        f"data.root={roots}/hdf5/strong",
        f"data.weak_root={roots}/hdf5/weak",
        "data.num_workers=0",
    ]
    assert main(["data", "check", *words, "--manifest", str(tmp_path / "clips.jsonl")]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if line.startswith(("│ train", "│   strong", "│   weak"))]
    assert [[cell.strip() for cell in row.split("│")[2:-1]] for row in rows] == [
        ["2,167,410", "10", "0.0%", "0", ""],
        ["", "5", "", "", ""],
        ["", "5", "", "", ""],
    ]
    manifest = [json.loads(line) for line in (tmp_path / "clips.jsonl").read_text().splitlines()]
    assert [line["part"] for line in manifest] == ["train"] * 10 + ["validation"] * 3 + ["test"] * 3
    assert main(["data", "pack", *words, str(tmp_path / "packed.h5")]) == 2
    assert (
        capsys.readouterr().err.splitlines()[-1]
        == f"efficient-sed: {tmp_path}/packed.h5: a packed file holds strong labels alone, and has no place for the 5 "
        "clips 'weak' of the train part"
    )


def spoil_mp3(root: Path) -> None:
    (root / "audio" / f"Y{VIDEOS[1]}.mp3").write_bytes(b"noise" * 99)


BAD: list[tuple[str, Callable[[Path], Any], str]] = [
    (
        "no folder", shutil.rmtree,
        r"data\.weak_root={root}: no such directory; give the folder of AudioSet as data\.weak_root=DIR",
    ),
    (
        "empty", lambda root: [path.unlink() for path in root.glob("*.csv")],
        r"data\.weak_root={root}: no layout of AudioSet is recognised; needed: .*",
    ),
    (
        "two layouts", lambda root: [(root / name).touch() for name in ("dataset_dict.json", "eval_segments_mp3.hdf")],
        r"data\.weak_root={root}: holds arrow and hdf5; .*",
    ),
    ("garbage", spoil_mp3, r"{root}/audio/YYb_bbbbbbbb\.mp3: not readable as audio .*; data\.on_error=skip .*"),
    (
        "other audio", lambda root: [path.rename(path.with_name("Yother.mp3")) for path in (root / "audio").iterdir()],
        r"data\.weak_root={root}: none of the 7 annotated clips of the train part has audio here;"
        r" looked for Y--aaaaaaaaa\.mp3 and so on",
    ),
    (
        "evaluated alone",
        lambda root: [path.unlink() for path in (root / "audio").iterdir() if path.name[1] not in "fh"],
        r"data\.weak_root={root}: 0 weak clips are left for training;"
        r" 2 stand in the strong evaluation part, 0 are unreadable",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "message"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_bad_data(roots: Path, tmp_path: Path, spoil: Callable[[Path], Any], message: str) -> None:
    root = tmp_path / "weak"
    shutil.copytree(roots / "folder" / "weak", root)
    spoil(root)
    with pytest.raises(DataError, match=f"^{message.replace('{root}', str(root))}$") as caught:
        load(roots / "folder" / "strong", root)
    assert "\n" not in str(caught.value)


def test_unreadable_weak_clips_are_counted(roots: Path, tmp_path: Path) -> None:
    shutil.copytree(roots / "folder" / "weak", tmp_path / "weak")
    spoil_mp3(tmp_path / "weak")
    splits = load(roots / "folder" / "strong", tmp_path / "weak", on_error="skip")
    assert (len(weak_of(splits)), splits.num_skipped["train"], len(splits.skipped)) == (4, 1, 1)
