"""Files of pseudo-labels, published or our own: reading in any process, errors."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import soundfile
import torch
from torch.utils.data import DataLoader, Dataset

from efficient_sed.audio.frontends.mel40 import Mel40
from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.dataset import Item, TrainingClips, collate
from efficient_sed.data.events import Clip, Event, Splits
from efficient_sed.data.pseudo_labels import PseudoLabels, spellings
from efficient_sed.data.storage.sources import AudioFile
from efficient_sed.errors import DataError

CLASSES = ("even", "odd")
NAMES = ("Yaaaaaaaaaaa.mp3", "Ybbbbbbbbbbb.mp3")


def write_teacher(
    path: Path,
    names: Sequence[str] = NAMES,
    num_frames: int = 250,
    num_classes: int = 2,
    classes: Sequence[str] | None = None,
    hop_s: float | None = None,
    is_variable: bool = False,
    spoil: Callable[[np.ndarray], None] = lambda _: None,
) -> Path:
    """The published layout; the logit of class c in frame k of row r is 5 * ((k + c + r) % 2) - 2."""
    r, c, k = np.ogrid[: len(names), :num_classes, :num_frames]
    logits = (5.0 * ((k + c + r) % 2) - 2).astype(np.float16)
    spoil(logits)
    with h5py.File(path, "w") as file:
        file["filenames"] = np.array(names, dtype=h5py.string_dtype() if is_variable else "S")
        file["strong_logits"] = logits
        if classes is not None:
            file["classes"] = np.array(classes, dtype=h5py.string_dtype())
        if hop_s is not None:
            file.attrs["frame_hop_s"] = hop_s
    return path


@pytest.mark.parametrize("is_variable", [False, True])
def test_published_layout(tmp_path: Path, is_variable: bool) -> None:
    labels = PseudoLabels(write_teacher(tmp_path / "a.h5", is_variable=is_variable), CLASSES, clip_seconds=5)
    assert "Ybbbbbbbbbbb.mp3" in labels
    assert "Yccccccccccc.mp3" not in labels
    assert labels.read("Yaaaaaaaaaaa.mp3", 3, 4).tolist() == [[3, -2, 3, -2], [-2, 3, -2, 3]]
    assert labels.read("Ybbbbbbbbbbb.mp3", 248, 5).tolist() == [[3, -2], [-2, 3]]  # as far as it goes
    assert labels.read("Ybbbbbbbbbbb.mp3", 300, 2).shape == (2, 0)
    np.testing.assert_array_equal(labels.read("Yaaaaaaaaaaa", 0, 250), labels.read("Yaaaaaaaaaaa.mp3", 0, 250))


def test_spellings_of_audioset_clips() -> None:
    forms = {"Y--PJHxphWEs.mp3", "Y--PJHxphWEs", "--PJHxphWEs"}
    for clip_id in ("Y--PJHxphWEs.mp3", "Y--PJHxphWEs", "train/Y--PJHxphWEs.wav"):
        assert {*spellings(clip_id)} == forms | {clip_id}
    for clip_id in ("train/000001.flac", "Yellow.wav", "--PJHxphWEs", "dog.wav"):
        assert spellings(clip_id) == (clip_id,)


def test_classes_are_chosen_by_label(tmp_path: Path) -> None:
    path = write_teacher(
        tmp_path / "a.h5",
        num_classes=4,
        classes=["a", "even", "b", "odd"],
        spoil=lambda logits: logits.__iadd__(np.arange(4, dtype=np.float16)[:, None]),
    )
    whole = PseudoLabels(path, ("a", "even", "b", "odd")).read(NAMES[0], 0, 9)
    np.testing.assert_array_equal(PseudoLabels(path, ("odd", "even")).read(NAMES[0], 0, 9), whole[[3, 1]])


def nothing(path: Path) -> None:
    pass


def other_file(path: Path) -> None:
    path.write_text("no HDF5")


def cut_off(path: Path) -> None:
    content = write_teacher(path).read_bytes()
    path.write_bytes(content[: len(content) // 2])


def no_logits(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["filenames"] = np.array(["a"], dtype="S")


def other_length(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["filenames"] = np.array(["a", "b", "c"], dtype="S")
        file["strong_logits"] = np.zeros((2, 2, 250), np.float16)


def clip_level(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["filenames"] = np.array(["a"], dtype="S")
        file["strong_logits"] = np.zeros((1, 2), np.float16)


def layout(**options: Any) -> Callable[[Path], None]:
    return lambda path: write_teacher(path, **options) and None


NOT_ONE = "not a file of pseudo-labels (needed: data sets `filenames` and `strong_logits`)"
BAD_FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (nothing, "data.pseudo_labels={path}: no such file"),
    "other": (other_file, f"{{path}}: {NOT_ONE}"),
    "cut off": (cut_off, "{path}: a damaged HDF5 file, probably cut off"),
    "no logits": (no_logits, f"{{path}}: {NOT_ONE}"),
    "other length": (other_length, "{path}: strong_logits has shape (2, 2, 250); needed: 3 clips x classes x frames"),
    "clip level": (clip_level, "{path}: strong_logits has shape (1, 2); needed: 1 clips x classes x frames"),
    "447 classes": (
        layout(num_classes=447),
        (
            "{path}: holds 447 classes without naming them, the data set has 2; a data set `classes` in the file would"
            " tell which is which"
        ),
    ),
    "class missing": (
        layout(num_classes=3, classes=["even", "b", "c"]),
        "{path}: its 3 classes lack 1 of the data set's 2, first 'odd'",
    ),
    "classes of another length": (layout(classes=["even", "odd", "c"]), "{path}: names 3 classes for 2 rows of logits"),
    "other hop": (
        layout(hop_s=0.02),
        (
            "{path}: its frames last 0.02 s, the model's 0.04 s; write it anew with a teacher on the model's grid, or"
            " choose a backbone on its own"
        ),
    ),
    "other grid": (
        layout(num_frames=1000),
        (
            "{path}: holds 1000 frames a clip, data.clip_seconds=5 has 125 of 0.04 s; if its frames last as long, add"
            " the attribute `frame_hop_s` to the file"
        ),
    ),
    "clip twice": (layout(names=["a", "b", "a", "b", "b"]), "{path}: holds 2 clips more than once, first 'a'"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files(tmp_path: Path, case: str) -> None:
    make, message = BAD_FILES[case]
    path = tmp_path / "teacher.h5"
    make(path)
    with pytest.raises(DataError) as caught:
        PseudoLabels(path, CLASSES, clip_seconds=5)
    assert str(caught.value) == message.format(path=path)


@pytest.mark.parametrize(
    ("hop_s", "message"),
    [
        (
            0.04,
            (
                "its frames last 0.04 s, the model's 0.01 s; write it anew with a teacher on the model's grid, or"
                " choose a backbone on its own"
            ),
        ),
        (
            None,
            (
                "holds 250 frames a clip, data.clip_seconds=10.24 has 1024 of 0.01 s; if its frames last as long, add"
                " the attribute `frame_hop_s` to the file"
            ),
        ),
    ],
)
def test_a_teacher_of_the_released_family_is_none_for_dnd_sed(
    tmp_path: Path, hop_s: float | None, message: str
) -> None:
    path = write_teacher(tmp_path / "a.h5", hop_s=hop_s)
    with pytest.raises(DataError) as caught:
        PseudoLabels(path, CLASSES, Mel40("logmel40").grid(1), clip_seconds=10.24)
    assert str(caught.value) == f"{path}: {message}"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_logit_that_is_no_number_is_told_with_its_clip(tmp_path: Path, value: float) -> None:
    def spoil(logits: np.ndarray) -> None:
        logits[1, 0, 77] = value

    labels = PseudoLabels(write_teacher(tmp_path / "a.h5", spoil=spoil), CLASSES)
    assert labels.read(NAMES[0], 0, 250).shape == (2, 250)
    with pytest.raises(
        DataError,
        match=r"a\.h5: clip 'Ybbbbbbbbbbb\.mp3': a score of class 'even' is not a finite number \(.* in frame 77\)$",
    ):
        labels.read(NAMES[1], 70, 10)


def noise_clips(folder: Path, seconds: Sequence[float]) -> list[Clip]:
    clips = []
    for name, duration_s in zip(NAMES, seconds, strict=True):
        path = folder / f"{name}.wav"
        soundfile.write(path, np.random.default_rng(0).normal(size=int(16_000 * duration_s)) * 0.1, 16_000)
        clips.append(Clip(name, AudioFile(path), duration_s, (Event(0.5, duration_s - 0.1, "odd"),)))
    return clips


def test_labels_go_on_where_the_teacher_ends(tmp_path: Path) -> None:
    labels = PseudoLabels(write_teacher(tmp_path / "a.h5", num_frames=30), CLASSES)
    item = TrainingClips(noise_clips(tmp_path, (2.0, 2.0)), CLASSES, FrameGrid(), 2, 0, labels)[0, 0]
    assert isinstance(item, Item)
    assert torch.equal(item.teacher[:, 30:], item.targets[:, 30:])
    torch.testing.assert_close(item.teacher[:, :30], torch.from_numpy(labels.read(NAMES[0], 0, 30)).sigmoid())


def test_bad_logits_stop_at_the_clip_and_not_the_worker(tmp_path: Path) -> None:
    labels = PseudoLabels(write_teacher(tmp_path / "a.h5", spoil=lambda logits: logits[1].fill(np.nan)), CLASSES)
    batch = collate(
        [
            TrainingClips(noise_clips(tmp_path, (2.0, 2.0)), CLASSES, FrameGrid(), 2, 0, labels)[0, index]
            for index in (0, 1)
        ]
    )
    assert batch.positions.tolist() == [0]
    assert batch.errors == [
        f"{tmp_path / 'a.h5'}: clip 'Ybbbbbbbbbbb.mp3': a score of class 'even' is not a finite number (nan in frame 0)"
    ]


class Rows(Dataset[Any]):
    """Reads in a worker, and tells in which process."""

    def __init__(self, labels: PseudoLabels) -> None:
        self.labels = labels

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.labels.read(NAMES[index % 2], index, 50), os.getpid()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_every_way_to_start_a_worker(tmp_path: Path, method: str) -> None:
    labels = PseudoLabels(write_teacher(tmp_path / "a.h5"), CLASSES)
    alone = [
        labels.read(NAMES[index % 2], index, 50) for index in range(4)
    ]  # the file is open in this process when it forks
    rows = list(DataLoader(Rows(labels), batch_size=None, num_workers=1, multiprocessing_context=method))
    assert len({process for _, process in rows} - {os.getpid()}) == 1
    for (row, _), expected in zip(rows, alone, strict=True):
        np.testing.assert_array_equal(row, expected)
    np.testing.assert_array_equal(labels.read(NAMES[0], 0, 50), alone[0])


def test_generated_clips_without_a_teacher_keep_their_labels(tiny_data: Splits, tmp_path: Path) -> None:
    path = write_teacher(tmp_path / "a.h5", [tiny_data.train[0].id], 75, len(tiny_data.classes))
    clips = TrainingClips(
        tiny_data.train, tiny_data.classes, FrameGrid(), 3, 0, PseudoLabels(path, tiny_data.classes, clip_seconds=3)
    )
    items = [clips[0, index] for index in range(len(tiny_data.train))]
    assert [torch.equal(item.teacher, item.targets) for item in items if isinstance(item, Item)] == [
        False,
        *[True] * (len(items) - 1),
    ]
