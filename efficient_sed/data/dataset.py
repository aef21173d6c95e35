"""Clips as tensors: random excerpts for training, windows for evaluation, and the batches of both."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.clip_teacher import ClipTeacher
from efficient_sed.data.events import KINDS, Clip, Group, encode_events
from efficient_sed.data.mixing.recipe import SceneRecipe
from efficient_sed.data.pseudo_labels import PseudoLabels
from efficient_sed.data.samplers import Draw
from efficient_sed.data.storage.columns import durations, group_clips
from efficient_sed.data.windows import ClipWindows
from efficient_sed.errors import DataError, nearest

StoredTeacher = PseudoLabels | ClipTeacher


class Batch(NamedTuple):
    """What a data loader yields.

    Attributes:
        waveform: (batch, samples) at the grid's sample rate, zero-padded to one length.
        targets: (batch, classes, frames) in [0, 1]; labels of weak clips fill all their frames, unlabelled clips have
            zeros.
        teacher: Probabilities of a teacher, same shape; without a teacher, the targets.
        positions: (batch,), position of each item in its data set.
        kinds: (batch,), what the labels of each mean, as a position in `KINDS`.
        groups: (batch,), number of each one's group; only clips of one group may be mixed.
        is_distilled: (batch,) bool, which have a stored teacher.
        annotated: (batch, classes) bool, classes that count; None if all do.
        errors: Messages of files that could not be read; they are missing from the batch.
    """

    waveform: Tensor
    targets: Tensor
    teacher: Tensor
    positions: Tensor
    kinds: Tensor
    groups: Tensor
    is_distilled: Tensor
    annotated: Tensor | None
    errors: list[str]

    @classmethod
    def of_strong(cls, waveform: Tensor, targets: Tensor, teacher: Tensor) -> Batch:
        """Clips with labels of frames of all classes, at the first positions of their data set."""
        zeros = torch.zeros(len(waveform), dtype=torch.int64)
        return cls(waveform, targets, teacher, torch.arange(len(waveform)), zeros, zeros, zeros.bool(), None, [])


class Item(NamedTuple):
    """One example of a batch; fields as there, without the first axis. Its group holds the annotated classes."""

    waveform: Tensor
    targets: Tensor
    teacher: Tensor
    position: int
    kind: int = 0
    group: int = 0
    is_distilled: bool = False
    annotated: Tensor | None = None


LONGEST_STEP_S = 0.1
"""Between two places where an excerpt may begin; networks for tagging have frames of half a second and more."""


class _ClipDataset(abc.ABC):
    def __init__(self, clips: Sequence[Clip], classes: Sequence[str], grid: FrameGrid, clip_seconds: float) -> None:
        for clip in clips[:1]:  # of a data set all or none
            clip.audio.check_rate(grid.sample_rate)
        self.clips, self.classes, self.grid, self.clip_seconds = clips, classes, grid, clip_seconds
        self.groups, self._group_of = group_clips(clips)
        self._annotated = [_annotated(group, classes) for group in self.groups]

    def annotated(self, clip: int) -> Tensor | None:
        """Mask of the classes that count for a clip, shape (classes,); None if all do."""
        return self._annotated[int(self._group_of[clip])]

    @abc.abstractmethod
    def _read(self, key: Any) -> Item:
        """One item.

        Raises:
            DataError: If its file cannot be read.
        """

    def __getitem__(self, key: Any) -> Item | str:
        """Get an item, or the message of a file that cannot be read: exceptions lose their type between processes."""
        try:
            return self._read(key)
        except DataError as error:
            return str(error)

    def _excerpt(
        self, clip: Clip, start_s: float, index: int, group: int, pseudo_labels: StoredTeacher | None = None
    ) -> Item:
        length = round(self.clip_seconds * self.grid.sample_rate)
        num_frames = self.grid.num_frames(length)
        events = () if clip.kind == "unlabelled" else clip.events
        is_soft = clip.kind == "soft"
        encoded = encode_events(events, self.classes, self.grid, num_frames, start_s, is_soft=is_soft)
        teacher = targets = torch.from_numpy(encoded)
        samples = clip.audio.read(start_s, self.clip_seconds, self.grid.sample_rate)
        is_distilled = pseudo_labels is not None and clip.id in pseudo_labels
        if pseudo_labels is not None and is_distilled:
            stored = torch.from_numpy(pseudo_labels.read(clip.id, self.grid.onset_frame(start_s), num_frames)).sigmoid()
            # where the teacher ends, the labels go on
            teacher = torch.cat([stored, targets[:, stored.shape[1] :]], dim=1)
        # which copies even if there's nothing to add
        waveform = samples if len(samples) == length else torch.nn.functional.pad(samples, (0, length - len(samples)))
        kind, annotated = KINDS.index(clip.kind), self._annotated[group]
        return Item(waveform, targets, teacher, index, kind, group, is_distilled, annotated)


def _annotated(group: Group, classes: Sequence[str]) -> Tensor | None:
    """Mask of the classes that count for the clips of a group, shape (classes,); None if all do.

    Raises:
        DataError: If there are none, or one that is no class.
    """
    if group.annotated is None or set(group.annotated) == set(classes):
        return None
    clips = f"the clips {group.name!r} are annotated"
    if not group.annotated:
        raise DataError(f"{clips} for no class, so nothing could be learnt or scored; leave them out")
    for label in group.annotated:
        if label not in classes:
            raise DataError(f"{clips} for {label!r}, which is none of the classes; {nearest(label, classes)}")
    return torch.tensor([label in group.annotated for label in classes])


class TrainingClips(_ClipDataset, Dataset[Item | str]):
    """Random excerpts, indexed by a Draw; they depend only on it and the seed."""

    def __init__(
        self, clips: Sequence[Clip], classes: Sequence[str], grid: FrameGrid, clip_seconds: float, seed: int,
        pseudo_labels: StoredTeacher | None = None,
    ) -> None:  # fmt: skip
        super().__init__(clips, classes, grid, clip_seconds)
        self.seed, self.pseudo_labels = seed, pseudo_labels

    def __len__(self) -> int:
        return len(self.clips)

    def _read(self, key: tuple[int, int] | Draw) -> Item:
        draw = Draw(*key)
        clip = self.clips[draw.clip]
        rng = np.random.default_rng([self.seed, *draw])
        if isinstance(clip.audio, SceneRecipe):
            clip = clip.audio.draw(clip, rng)
        # a teacher's frames stay whole
        step_s = self.grid.hop_s if self.pseudo_labels is not None else min(self.grid.hop_s, LONGEST_STEP_S)
        spare_steps = int(max(0.0, clip.duration_s - self.clip_seconds) / step_s)
        start_s = int(rng.integers(spare_steps + 1)) * step_s
        return self._excerpt(clip, start_s, draw.clip, int(self._group_of[draw.clip]), self.pseudo_labels)


class EvaluationWindows(_ClipDataset, Dataset[Item | str]):
    """All windows of all clips, of one length. `evaluated_classes` are those that metrics use; default None, all."""

    def __init__(
        self,
        clips: Sequence[Clip],
        classes: Sequence[str],
        grid: FrameGrid,
        clip_seconds: float,
        evaluated_classes: Sequence[str] | None = None,
    ) -> None:
        super().__init__(clips, classes, grid, clip_seconds)
        self.evaluated_classes = evaluated_classes
        self.windows = ClipWindows(durations(clips), clip_seconds, grid)

    def __len__(self) -> int:
        return len(self.windows)

    def _read(self, key: int) -> Item:
        clip_index, window = self.windows[key]
        return self._excerpt(self.clips[clip_index], window.start_s, key, int(self._group_of[clip_index]))


def collate(items: Sequence[Item | str]) -> Batch:
    """Stack items; messages of unreadable files go into `errors`."""
    good = [item for item in items if isinstance(item, Item)]
    errors = [item for item in items if isinstance(item, str)]
    if not good:
        nothing = torch.zeros(0)
        return Batch(
            nothing, nothing, nothing, nothing.long(), nothing.long(), nothing.long(), nothing.bool(), None, errors
        )
    waveform, targets, teacher = (torch.stack(tensors) for tensors in zip(*(item[:3] for item in good), strict=True))
    return Batch(
        waveform,
        targets,
        teacher,
        torch.tensor([item.position for item in good]),
        torch.tensor([item.kind for item in good]),
        torch.tensor([item.group for item in good]),
        torch.tensor([item.is_distilled for item in good]),
        _stack_masks(good),
        errors,
    )


def _stack_masks(items: Sequence[Item]) -> Tensor | None:
    masks = [item.annotated for item in items]
    if all(mask is None for mask in masks):
        return None
    everything = torch.ones(items[0].targets.shape[0], dtype=torch.bool)
    return torch.stack([everything if mask is None else mask for mask in masks])
