"""AudioSet with labels of whole clips, from each of its layouts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from audioset_files import SEGMENTS, VIDEOS, display, mp3_files, write_arrow, write_folder, write_hdf5, write_segments

from efficient_sed.data.events import PARTS, Splits
from efficient_sed.data.labels import audioset_labels
from efficient_sed.data.sets.audioset_weak import AudioSetWeakConfig
from efficient_sed.errors import DataError

WRITE: dict[str, Callable[[Path, dict[str, bytes]], Any]] = {
    "arrow": lambda root, files: write_arrow(root, files, "weak"),
    "arrow_folders": lambda root, files: write_arrow(root, files, "weak", as_one=False),
    "hdf5": write_hdf5,
    "folder": lambda root, files: [write_folder(root, files, folders=("train", "eval")), write_segments(root)],
}


@pytest.fixture
def make(tmp_path: Path) -> Callable[[str], Path]:
    def write(layout: str) -> Path:
        (tmp_path / layout).mkdir()
        WRITE[layout](tmp_path / layout, mp3_files(1.0))
        return tmp_path / layout

    return write


def load(root: Path, **options: Any) -> Splits:
    return AudioSetWeakConfig(root=str(root), num_workers=0, **options).load()


def test_layouts_agree(make: Callable[[str], Path]) -> None:
    loaded = [load(make(layout)) for layout in WRITE]
    first = loaded[0]
    assert first.classes == audioset_labels("weak")
    assert first.evaluated_classes is None
    assert first.expected == {"train": 2_063_949, "validation": 20_371, "test": 20_371}
    for splits in loaded[1:]:
        assert splits.manifest_hash == first.manifest_hash
        for part in PARTS:
            assert [replace(clip, audio=None) for clip in getattr(splits, part)] == [
                replace(clip, audio=None) for clip in getattr(first, part)
            ]  # type: ignore[arg-type]


def test_a_label_lasts_as_long_as_its_clip(make: Callable[[str], Path]) -> None:
    splits = load(make("hdf5"))
    labels = {
        f"Y{video}.mp3": {display(mid) for mid in row[2]}
        for videos in SEGMENTS.values()
        for video, row in videos.items()
    }
    clips = [*splits.train, *splits.test]
    assert len(clips) == len(VIDEOS)
    for clip in clips:
        assert {event.label for event in clip.events} == labels[clip.id]
        assert {(event.onset_s, event.offset_s) for event in clip.events} == {(0.0, 1.0)}


def wrong_target(root: Path) -> None:
    with h5py.File(root / "eval_segments_mp3.hdf", "a") as file:
        del file["target"]
        file["target"] = np.zeros((4, 10), np.uint8)


def segments(row: str) -> Callable[[Path], Any]:
    path = "balanced_train_segments.csv"
    return lambda root: (root / path).write_text((root / path).read_text() + row + "\n")


BAD: list[tuple[str, str, Callable[[Path], Any], str]] = [
    (
        "target of another width",
        "hdf5",
        wrong_target,
        (
            r"{root}/eval_segments_mp3\.hdf: target has shape \(4, 10\) and type uint8; needed: 527 classes packed into"
            r" bytes by numpy\.packbits"
        ),
    ),
    (
        "no class",
        "folder",
        segments('x, 0, 10, "/m/nothing"'),
        r"{root}/balanced_train_segments\.csv:6: '/m/nothing' is no class of AudioSet.*",
    ),
    (
        "twice",
        "folder",
        segments('Yb_bbbbbbbb, 0, 10, "/m/09x0r"'),
        r"{root}/balanced_train_segments\.csv:6: 'Yb_bbbbbbbb' stands in line 5 too; clip ids must not repeat",
    ),
    (
        "in two splits",
        "folder",
        segments('ccccccccccc, 0, 10, "/m/09x0r"'),
        r"{root}/unbalanced_train_segments\.csv: the clip Yccccccccccc\.mp3 stands in another split .*",
    ),
    (
        "short row",
        "folder",
        segments("x, 0, 10"),
        r'{root}/balanced_train_segments\.csv:6: 3 columns; needed: YTID, start_seconds, end_seconds, "labels"',
    ),
    (
        "no evaluation",
        "folder",
        lambda root: (root / "eval_segments.csv").unlink(),
        r"{root}: the files eval_segments\.csv missing, so there is no eval part",
    ),
    (
        "strong Arrow",
        "arrow",
        lambda root: write_arrow(root, mp3_files(1.0)),
        r"{root}/balanced_train: column 'target' is missing; found: .*events.*",
    ),
]


@pytest.mark.parametrize(("layout", "spoil", "message"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_bad_data(make: Callable[[str], Path], layout: str, spoil: Callable[[Path], Any], message: str) -> None:
    root = make(layout)
    spoil(root)
    with pytest.raises(DataError, match=f"^{message.replace('{root}', str(root))}$") as caught:
        load(root)
    assert "\n" not in str(caught.value)
