"""What a batch holds belongs together: waveform, labels and teacher of the same excerpt, whichever process reads it."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import soundfile
import torch
from torch.utils.data import DataLoader

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.dataset import EvaluationWindows, Item, TrainingClips, collate
from efficient_sed.data.events import Clip, Event, Splits
from efficient_sed.data.pseudo_labels import PseudoLabels
from efficient_sed.data.samplers import Draw, EpochSampler
from efficient_sed.data.storage.sources import AudioFile
from efficient_sed.errors import DataError

GRID = FrameGrid()
CLASSES = ("even", "odd")
STEP = 640  # samples in a frame


def coded_clip(folder: Path, name: str, num_frames: int) -> Clip:
    """A recording in which each frame of 40 ms tells its number, labelled by whether that is even or odd."""
    samples = np.repeat(np.arange(num_frames) / 1024, STEP)
    soundfile.write(folder / name, samples, 16_000, subtype="PCM_24")
    events = tuple(Event(round(0.04 * k, 2), round(0.04 * (k + 1), 2), CLASSES[k % 2]) for k in range(num_frames))
    return Clip(name, AudioFile(folder / name), 0.04 * num_frames, events)


@pytest.fixture
def clips(tmp_path: Path) -> list[Clip]:
    return [
        coded_clip(tmp_path, "short.wav", 20),
        coded_clip(tmp_path, "exact.wav", 50),
        coded_clip(tmp_path, "Ylong.mp3.wav", 331),
    ]


def write_teacher(path: Path, names: Sequence[str], num_frames: int = 250) -> Path:
    """The published layout; the logit of class c in frame k of row r is 5 * ((k + c + r) % 2) - 2."""
    r, c, k = np.ogrid[: len(names), :2, :num_frames]
    with h5py.File(path, "w") as file:
        file["filenames"] = np.array(names, dtype="S")
        file["strong_logits"] = (5.0 * ((k + c + r) % 2) - 2).astype(np.float16)
    return path


def frame_numbers(item: Item) -> list[int]:
    """The numbers that the frames of an excerpt tell; 0 also stands for padding."""
    middle = item.waveform.view(-1, STEP)[:, STEP // 2]
    return (middle * 1024).round().int().tolist()


def training(clips: Sequence[Clip], seed: int = 0, pseudo_labels: PseudoLabels | None = None) -> TrainingClips:
    return TrainingClips(clips, CLASSES, GRID, 2, seed, pseudo_labels)


def get(dataset: Any, key: Any) -> Item:
    item = dataset[key]
    assert isinstance(item, Item), item
    return item


def test_excerpts_and_their_labels(clips: list[Clip]) -> None:
    starts = set()
    for epoch in range(40):
        item = get(training(clips), (epoch, 2))
        assert item.waveform.shape == (32_000,)
        assert item.targets.shape == (2, 50)
        numbers = frame_numbers(item)
        assert numbers == list(range(numbers[0], numbers[0] + 50))
        assert item.targets.argmax(0).tolist() == [number % 2 for number in numbers]
        assert torch.equal(item.targets.sum(0), torch.ones(50))
        assert torch.equal(item.teacher, item.targets)
        starts.add(numbers[0])
    assert len(starts) > 25
    assert min(starts) < 40
    assert 240 < max(starts) <= 281  # the last excerpt ends with the file


def test_short_clips_are_padded(clips: list[Clip]) -> None:
    for epoch in range(3):
        short, exact = (get(training(clips), (epoch, index)) for index in (0, 1))
        assert frame_numbers(short) == [*range(20), *[0] * 30]
        assert not short.waveform[20 * STEP :].any()
        assert short.targets.sum(0).tolist() == [1] * 20 + [0] * 30
        assert frame_numbers(exact) == list(range(50))


def test_place_depends_on_seed_epoch_and_clip_alone(clips: list[Clip]) -> None:
    def start(seed: int, epoch: int, index: int, among: Sequence[Clip] = clips) -> int:
        return frame_numbers(get(training(among, seed), (epoch, index)))[0]

    assert [start(5, epoch, 2) for epoch in range(6)] == [start(5, epoch, 2) for epoch in range(6)]
    assert [start(5, epoch, 2) for epoch in range(6)] != [start(6, epoch, 2) for epoch in range(6)]
    assert len({start(0, 0, index, [clips[2]] * 8) for index in range(8)}) > 4


def test_a_clip_drawn_twice_in_an_epoch_is_not_heard_twice(clips: list[Clip]) -> None:
    starts = [frame_numbers(get(training(clips), Draw(0, 2, repeat)))[0] for repeat in range(10)]
    assert len(set(starts)) > 7
    assert starts[0] == frame_numbers(get(training(clips), (0, 2)))[0]


def test_windows_put_together_are_the_clip(clips: list[Clip]) -> None:
    dataset = EvaluationWindows(clips, CLASSES, GRID, 5)
    kept: dict[int, list[int]] = {index: [] for index in range(3)}
    labels: dict[int, list[torch.Tensor]] = {index: [] for index in range(3)}
    for index, (clip, window) in enumerate(dataset.windows):
        item = get(dataset, index)
        assert item.position == index
        assert item.waveform.shape == (80_000,)
        assert item.targets.shape == (2, 125)
        begin = window.first + window.fade_in
        kept[clip] += frame_numbers(item)[begin : window.last]
        labels[clip].append(item.targets[:, begin : window.last])
    assert len(dataset) == len(dataset.windows) > 3
    for index, num_frames in enumerate((20, 50, 331)):
        assert kept[index] == list(range(num_frames))
        assert torch.cat(labels[index], 1).argmax(0).tolist() == [k % 2 for k in range(num_frames)]


def test_teacher_is_cropped_with_the_sound(clips: list[Clip], tmp_path: Path) -> None:
    path = write_teacher(tmp_path / "teacher.h5", ["other.wav", "Ylong.mp3.wav", "short.wav"], num_frames=340)
    dataset = training(clips, pseudo_labels=PseudoLabels(path, CLASSES))
    for epoch in range(8):
        item = get(dataset, (epoch, 2))
        numbers = torch.tensor(frame_numbers(item))
        for c in range(2):  # the file's second row
            torch.testing.assert_close(item.teacher[c], torch.sigmoid(5.0 * ((numbers + c + 1) % 2) - 2))
        assert item.targets.argmax(0).tolist() == (numbers % 2).tolist()
    exact = get(dataset, (0, 1))
    assert torch.equal(exact.teacher, exact.targets)  # no teacher for it: its labels alone
    assert not torch.equal(get(dataset, (0, 0)).teacher, get(dataset, (0, 0)).targets)


def test_file_is_opened_by_each_process(clips: list[Clip], tmp_path: Path) -> None:
    labels = PseudoLabels(write_teacher(tmp_path / "a.h5", [clip.id for clip in clips]), CLASSES)
    assert labels._file is None  # nothing open that a fork could carry over
    dataset = training(clips, pseudo_labels=labels)
    loader = DataLoader(dataset, 3, sampler=EpochSampler(3, 0), collate_fn=collate, num_workers=1)
    batches = list(loader)
    assert labels._file is None
    alone = [get(dataset, (0, int(index))) for index in batches[0].positions]
    assert torch.equal(batches[0].teacher, torch.stack([item.teacher for item in alone]))
    assert labels._file is not None
    copy = pickle.loads(pickle.dumps(labels))
    assert copy._file is None
    np.testing.assert_array_equal(copy.read("exact.wav", 0, 50), labels.read("exact.wav", 0, 50))


def test_unreadable_files_are_reported(clips: list[Clip]) -> None:
    Path(str(clips[1].audio)).write_text("not audio")
    dataset = training(clips)
    batch = collate([dataset[0, index] for index in range(3)])
    assert batch.waveform.shape == (2, 32_000)
    assert batch.targets.shape == batch.teacher.shape == (2, 2, 50)
    assert batch.positions.tolist() == [0, 2]
    assert len(batch.errors) == 1
    assert batch.errors[0].startswith(f"{clips[1].audio}: not readable as audio")
    nothing = collate([dataset[0, 1]])
    assert len(nothing.positions) == 0
    assert len(nothing.errors) == 1


def test_generated_scenes_as_batches(tiny_data: Splits) -> None:
    loader = DataLoader(EvaluationWindows(tiny_data.test, tiny_data.classes, GRID, 3), 4, collate_fn=collate)
    (batch,) = loader
    assert batch.waveform.shape == (4, 48_000)
    assert batch.targets.shape == (4, len(tiny_data.classes), 75)
    for targets, clip in zip(batch.targets, tiny_data.test, strict=True):
        assert {tiny_data.classes[k] for k in torch.nonzero(targets.any(1)).flatten()} == {
            event.label for event in clip.events
        }


def test_classes_that_count(clips: list[Clip]) -> None:
    """A mask for each clip; a batch of clips that are annotated for all classes has none."""
    dog = [replace(clip, subset="dogs", annotated=("even",)) for clip in clips[:1]]
    dataset = TrainingClips([*clips, *dog], CLASSES, GRID, 1.0, 0)
    everything, own = dataset[0, 0], dataset[0, len(clips)]
    assert collate([everything]).annotated is None
    mask = collate([everything, own]).annotated
    assert mask is not None
    assert mask.tolist() == [[True] * len(CLASSES), [label == "even" for label in CLASSES]]
    for annotated, message in (
        ((), r"the clips 'dogs' are annotated for no class, so nothing could be learnt or scored; leave them out"),
        (("evn",), r"the clips 'dogs' are annotated for 'evn', which is none of the classes; .*"),
    ):
        with pytest.raises(DataError, match=f"^{message}$"):
            TrainingClips([replace(dog[0], annotated=annotated)], CLASSES, GRID, 1.0, 0)
