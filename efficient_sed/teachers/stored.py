"""A file of pseudo-labels, such as the published ensemble's."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.pseudo_labels import BEYOND, PseudoLabels
from efficient_sed.registry import TEACHERS
from efficient_sed.teachers.contract import Teacher, TeacherConfig

SUFFIXES = (".h5", ".hdf5", ".hdf")


@TEACHERS.register("stored")
@dataclass(frozen=True)
class StoredConfig(TeacherConfig):
    """Logits in HDF5."""

    path: str

    def build(self, classes: Sequence[str], grid: FrameGrid) -> StoredTeacher:
        """Open the file, for a data set's classes and a student's grid."""
        return StoredTeacher(PseudoLabels(self.path, classes, grid), grid)


class StoredTeacher(Teacher):
    """Reads logits by clip id, without the sound. Frames after the stored ones get the logit of silence."""

    def __init__(self, labels: PseudoLabels, grid: FrameGrid) -> None:
        self.labels, self.grid = labels, grid
        self.fingerprint = _file_hash(labels.path)

    def frame_logits(
        self, clip_ids: Sequence[str], first_frames: Sequence[int], waveform: Tensor
    ) -> list[Tensor | None]:
        """See `contract.Teacher`."""
        num_frames = self.grid.num_frames(waveform.shape[1])
        return [
            self._read(clip_id, first, num_frames) if clip_id in self.labels else None
            for clip_id, first in zip(clip_ids, first_frames, strict=True)
        ]

    def _read(self, clip_id: str, first_frame: int, num_frames: int) -> Tensor:
        stored = torch.from_numpy(self.labels.read(clip_id, first_frame, num_frames))
        return torch.nn.functional.pad(stored, (0, num_frames - stored.shape[1]), value=BEYOND)


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
