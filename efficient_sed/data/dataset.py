"""Clips as tensors: random excerpts for training, windows for evaluation, and the batches of both."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.clip_teacher import ClipTeacher
from efficient_sed.data.events import Clip, encode_events
from efficient_sed.data.mixing.recipe import SceneRecipe
from efficient_sed.data.pseudo_labels import PseudoLabels
from efficient_sed.data.samplers import Draw
from efficient_sed.data.storage.columns import durations
from efficient_sed.data.windows import ClipWindows
from efficient_sed.errors import DataError

StoredTeacher = PseudoLabels | ClipTeacher


class Batch(NamedTuple):
    """What a data loader yields.

    Attributes:
        waveform: (batch, samples) at the grid's sample rate, zero-padded to one length.
        targets: (batch, classes, frames) in {0, 1}.
        teacher: Probabilities of a teacher, same shape; without a teacher, the targets.
        positions: (batch,), position of each item in its data set.
        is_weak: (batch,) bool, clips without frame labels; no loss uses their targets.
        errors: Messages of files that could not be read; they are missing from the batch.
    """

    waveform: Tensor
    targets: Tensor
    teacher: Tensor
    positions: Tensor
    is_weak: Tensor
    errors: list[str]


class Item(NamedTuple):
    """One example of a batch; fields as there, without the first axis."""

    waveform: Tensor
    targets: Tensor
    teacher: Tensor
    position: int
    is_weak: bool = False


LONGEST_STEP_S = 0.1
"""Between two places where an excerpt may begin; networks for tagging have frames of half a second and more."""


class _ClipDataset(abc.ABC):
    def __init__(self, clips: Sequence[Clip], classes: Sequence[str], grid: FrameGrid, clip_seconds: float) -> None:
        for clip in clips[:1]:  # of a data set all or none
            clip.audio.check_rate(grid.sample_rate)
        self.clips, self.classes, self.grid, self.clip_seconds = clips, classes, grid, clip_seconds

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

    def _excerpt(self, clip: Clip, start_s: float, index: int, pseudo_labels: StoredTeacher | None = None) -> Item:
        length = round(self.clip_seconds * self.grid.sample_rate)
        num_frames = self.grid.num_frames(length)
        targets = torch.from_numpy(encode_events(clip.events, self.classes, self.grid, num_frames, start_s))
        teacher = targets
        samples = clip.audio.read(start_s, self.clip_seconds, self.grid.sample_rate)
        if pseudo_labels is not None and clip.id in pseudo_labels:
            stored = torch.from_numpy(pseudo_labels.read(clip.id, self.grid.onset_frame(start_s), num_frames)).sigmoid()
            # where the teacher ends, the labels go on
            teacher = torch.cat([stored, targets[:, stored.shape[1] :]], dim=1)
        # which copies even if there's nothing to add
        waveform = samples if len(samples) == length else torch.nn.functional.pad(samples, (0, length - len(samples)))
        return Item(waveform, targets, teacher, index)


class TrainingClips(_ClipDataset, Dataset[Item | str]):
    """Random excerpts, indexed by a Draw; they depend only on it and the seed. Weak clips follow the others."""

    def __init__(
        self, clips: Sequence[Clip], classes: Sequence[str], grid: FrameGrid, clip_seconds: float, seed: int,
        pseudo_labels: StoredTeacher | None = None,
        weak: Sequence[Clip] = (),
    ) -> None:  # fmt: skip
        super().__init__(clips, classes, grid, clip_seconds)
        self.seed, self.pseudo_labels, self.weak = seed, pseudo_labels, weak

    def __len__(self) -> int:
        return len(self.clips) + len(self.weak)

    def _read(self, key: tuple[int, int] | Draw) -> Item:
        draw = Draw(*key)
        is_weak = draw.clip >= len(self.clips)
        clip = self.weak[draw.clip - len(self.clips)] if is_weak else self.clips[draw.clip]
        rng = np.random.default_rng([self.seed, *draw])
        if isinstance(clip.audio, SceneRecipe):
            clip = clip.audio.draw(clip, rng)
        # a teacher's frames stay whole
        step_s = self.grid.hop_s if self.pseudo_labels is not None else min(self.grid.hop_s, LONGEST_STEP_S)
        spare_steps = int(max(0.0, clip.duration_s - self.clip_seconds) / step_s)
        start_s = int(rng.integers(spare_steps + 1)) * step_s
        if is_weak:
            return self._excerpt(replace(clip, events=()), start_s, draw.clip)._replace(is_weak=True)
        return self._excerpt(clip, start_s, draw.clip, self.pseudo_labels)


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
        return self._excerpt(self.clips[clip_index], window.start_s, key)


def collate(items: Sequence[Item | str]) -> Batch:
    """Stack items; messages of unreadable files go into `errors`."""
    good = [item for item in items if isinstance(item, Item)]
    errors = [item for item in items if isinstance(item, str)]
    if not good:
        nothing = torch.zeros(0)
        return Batch(nothing, nothing, nothing, nothing.long(), nothing.bool(), errors)
    waveform, targets, teacher = (torch.stack(tensors) for tensors in zip(*(item[:3] for item in good), strict=True))
    return Batch(
        waveform,
        targets,
        teacher,
        torch.tensor([item.position for item in good]),
        torch.tensor([item.is_weak for item in good]),
        errors,
    )
