"""What a teacher must do."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from efficient_sed.audio.grid import FrameGrid


class Teacher(abc.ABC):
    """Gives frame logits on the grid and with the classes it was built for.

    Attributes:
        fingerprint: Changes when its answers would.
    """

    fingerprint: str

    @abc.abstractmethod
    def frame_logits(
        self, clip_ids: Sequence[str], first_frames: Sequence[int], waveform: Tensor
    ) -> list[Tensor | None]:
        """Frame logits of each excerpt in a batch, or None where the teacher does not know the clip.

        Each has shape (classes, frames), float32, on the CPU.

        Args:
            clip_ids: The clips that the excerpts are cut from.
            first_frames: Where in its clip each excerpt begins.
            waveform: Shape (batch, samples), 16 kHz.
        """


@dataclass(frozen=True)
class TeacherConfig(abc.ABC):
    """Names a teacher; a kind of teacher subclasses it and registers."""

    name: ClassVar[str]

    @abc.abstractmethod
    def build(self, classes: Sequence[str], grid: FrameGrid) -> Teacher:
        """The teacher, for a data set's classes and a student's grid.

        Raises:
            DataError, CheckpointError, ConfigError: If it cannot be loaded, lacks a class, or has another grid.
        """
