"""Clip logits are found by name in the published pair of files, and no code in a pickle is ever run."""

from __future__ import annotations

import os
import pickle
import re
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.clip_teacher import ClipTeacher
from efficient_sed.data.dataset import TrainingClips, collate
from efficient_sed.data.events import Splits
from efficient_sed.data.labels import audioset_labels
from efficient_sed.errors import DataError

CLASSES = ("a", "b", "c")


def write_pair(folder: Path, logits: np.ndarray, rows: Mapping[Any, Any]) -> tuple[Path, Path]:
    array, index = folder / "passt_enemble_logits_mAP_495.npy", folder / "fname_to_index.pkl"
    np.save(array, logits)
    index.write_bytes(pickle.dumps(dict(rows)))
    return array, index


def numbered(num_rows: int, num_classes: int) -> np.ndarray:
    return (np.arange(num_rows)[:, None] + np.arange(num_classes) / 1000).astype(np.float32)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_published_pair(tmp_path: Path, dtype: Any) -> None:
    labels = audioset_labels("weak")
    pair = write_pair(tmp_path, numbered(3, 527).astype(dtype), {"--PJHxphWEs": 2, "abcdefghijk": 0})
    teacher = ClipTeacher(*pair, labels)
    assert "Y--PJHxphWEs.mp3" in teacher
    assert "Y--PJHxphWEz.mp3" not in teacher
    logits = teacher.read("Y--PJHxphWEs.mp3", 100, 4)
    assert (logits.dtype, logits.shape) == (np.float32, (527, 4))
    np.testing.assert_allclose(logits[:, 3], 2 + np.arange(527) / 1000, atol=2e-3)
    some = ClipTeacher(*pair, (labels[300], labels[7]))
    np.testing.assert_array_equal(
        some.read("Yabcdefghijk", 0, 1)[:, 0], ClipTeacher(*pair, labels).read("Yabcdefghijk", 0, 1)[[300, 7], 0]
    )


def test_the_array_stays_on_disk(tmp_path: Path) -> None:
    teacher = ClipTeacher(*write_pair(tmp_path, numbered(1000, 3), {f"clip{row}": row for row in range(1000)}), CLASSES)
    teacher.read("clip7", 0, 1)
    assert isinstance(teacher._logits, np.memmap)
    copy = pickle.loads(pickle.dumps(teacher))
    assert copy._logits is None
    np.testing.assert_array_equal(copy.read("clip7", 0, 2), teacher.read("clip7", 5, 2))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_batches_of_clips_with_and_without_teacher(tiny_data: Splits, tmp_path: Path, method: str) -> None:
    known = {clip.id: row for row, clip in enumerate(tiny_data.train[:3])}
    teacher = ClipTeacher(*write_pair(tmp_path, numbered(3, len(tiny_data.classes)) - 1, known), tiny_data.classes)
    clips = TrainingClips(tiny_data.train, tiny_data.classes, FrameGrid(), 3, 0, teacher)
    (batch,) = DataLoader(
        clips,
        4,
        sampler=[(0, index) for index in range(4)],
        collate_fn=collate,
        num_workers=1,
        multiprocessing_context=method,
    )
    torch.testing.assert_close(
        batch.teacher.amax(-1)[:3], torch.from_numpy(numbered(3, len(tiny_data.classes)) - 1).sigmoid()
    )
    assert torch.equal(batch.teacher[:3].amin(-1), batch.teacher[:3].amax(-1))
    assert torch.equal(batch.teacher[3], batch.targets[3])


class Malicious:
    """Makes a file when it is unpickled without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


class Buried(dict[str, int]):
    """A class of one's own, harmless but not plain."""


PLAIN = "not a pickled dictionary from file name to row, of plain text and whole numbers"
PICKLES: dict[str, tuple[Any, str]] = {
    "malicious": (Malicious, r" \(it holds STACK_GLOBAL\); nothing in it was run"),
    "malicious key": (
        lambda path: {"a": 0, "b": Malicious(path)},
        r" \(it holds STACK_GLOBAL\); nothing in it was run",
    ),
    "old protocol": (
        lambda path: pickle.dumps(Malicious(path), protocol=0),
        r" \(it holds GLOBAL\); nothing in it was run",
    ),
    "numpy": (lambda _: {"a": np.int64(0)}, r" \(it holds STACK_GLOBAL\); nothing in it was run"),
    "text": (lambda _: b"not a pickle", r" \(.*\); nothing in it was run"),
    "cut": (lambda _: pickle.dumps({"abc": 1, "def": 2})[:-9], r" \(.*\); nothing in it was run"),
    "list": (lambda _: ["a"], r" \(it holds EMPTY_LIST\); nothing in it was run"),
    "float": (lambda _: {"a": 0.0}, r" \(it holds BINFLOAT\); nothing in it was run"),
    "truth": (lambda _: pickle.dumps({"a": True}, protocol=0), ""),
    "number": (lambda _: {1: 0}, ""),
    "one number": (lambda _: 1, ""),
}


@pytest.mark.parametrize("case", PICKLES)
def test_bad_index(tmp_path: Path, case: str) -> None:
    make, message = PICKLES[case]
    array, index = write_pair(tmp_path, numbered(2, 3), {})
    content = make(tmp_path / "made")
    index.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content))
    with pytest.raises(DataError) as caught:
        ClipTeacher(array, index, CLASSES)
    assert re.fullmatch(re.escape(f"{index}: {PLAIN}") + message, str(caught.value))
    assert not (tmp_path / "made").exists()


def test_a_length_in_an_index_takes_no_memory(tmp_path: Path) -> None:
    array, index = write_pair(tmp_path, numbered(2, 3), {})
    index.write_bytes(pickle.PROTO + b"\x05" + pickle.BYTEARRAY8 + (2**28).to_bytes(8, "little"))
    tracemalloc.start()
    with pytest.raises(DataError, match="not a pickled dictionary"):
        ClipTeacher(array, index, CLASSES)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_a_class_of_ones_own_is_refused(tmp_path: Path) -> None:
    array, index = write_pair(tmp_path, numbered(2, 3), {})
    index.write_bytes(pickle.dumps(Buried(a=0)))
    with pytest.raises(DataError, match=r"it holds STACK_GLOBAL\); nothing in it was run$"):
        ClipTeacher(array, index, CLASSES)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_is_read(tmp_path: Path, protocol: int) -> None:
    rows = {"a": 0, "Yé.mp3": 1, **{f"clip{row}": row for row in range(2, 300)}}
    array, index = write_pair(tmp_path, numbered(300, 3), {})
    index.write_bytes(pickle.dumps(rows, protocol=protocol))
    teacher = ClipTeacher(array, index, CLASSES)
    assert all(name in teacher for name in rows)
    assert teacher.read("clip299", 0, 1)[:, 0].tolist() == numbered(300, 3)[299].tolist()


@pytest.mark.parametrize(
    ("logits", "rows", "message"),
    [
        (numbered(2, 5), {"a": 0}, r"mAP_495\.npy: holds 5 classes, the data set has 3$"),
        (numbered(2, 527), {"a": 0}, r"mAP_495\.npy: its 527 classes lack 3 of the data set's 3, first 'a'$"),
        (
            numbered(2, 3),
            {"a": 0, "b": 2},
            r"fname_to_index\.pkl: row 2 of 'b' is not in .*mAP_495\.npy, which has 2 rows$",
        ),
        (numbered(2, 3), {"a": -1}, r"fname_to_index\.pkl: row -1 of 'a' is not in "),
        (
            numbered(2, 3)[0],
            {"a": 0},
            r"mAP_495\.npy: holds float32 of shape \(3,\); needed: floating-point logits, clips x classes$",
        ),
        (np.zeros((2, 3), int), {"a": 0}, r"mAP_495\.npy: holds int64 of shape \(2, 3\); needed: "),
        (np.array([[Buried()]], object), {"a": 0}, r"mAP_495\.npy: not an array in numpy's format, or cut off$"),
    ],
    ids=["classes", "labels", "row", "negative", "one axis", "whole numbers", "objects"],
)
def test_pairs_that_do_not_fit(tmp_path: Path, logits: np.ndarray, rows: dict[str, int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ClipTeacher(*write_pair(tmp_path, logits, rows), CLASSES)


def test_damaged_arrays(tmp_path: Path) -> None:
    array, index = write_pair(tmp_path, numbered(2, 3), {"a": 1})
    content = array.read_bytes()
    for damaged in (b"", b"no array", content[:-5], content[:50]):
        array.write_bytes(damaged)
        with pytest.raises(DataError, match=r"mAP_495\.npy: not an array in numpy's format, or cut off$"):
            ClipTeacher(array, index, CLASSES)
    array.unlink()
    with pytest.raises(DataError, match=r"^data\.clip_teacher=.*: no such file$"):
        ClipTeacher(array, index, CLASSES)
    np.save(array, np.array([[0, 0, 0], [0, np.nan, 0]], np.float32))
    with pytest.raises(
        DataError,
        match=r"mAP_495\.npy: clip 'a' \(row 1\): a score of class 'b' is not a finite number \(nan in frame 0\)$",
    ):
        ClipTeacher(array, index, CLASSES).read("a", 0, 1)
    index.unlink()
    with pytest.raises(DataError, match=r"^data\.clip_teacher_index=.*: no such file$"):
        ClipTeacher(array, index, CLASSES)
