"""How much of a training part each class fills."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.data.events import FRAMEWISE, Clip
from efficient_sed.data.samplers import filled_frames
from efficient_sed.data.storage.columns import iterate_blocks, of_kinds


def active_shares(clips: Sequence[Clip], classes: Sequence[str], grid: FrameGrid) -> np.ndarray:
    """Share of all frames in which each class is active, shape (classes,).

    Args:
        clips: Of the training part; those without labels of frames do not count.
        classes: Labels in logit order.
        grid: Of the frames.
    """
    numbers = {label: number for number, label in enumerate(classes)}
    active, total = np.zeros(len(classes)), 0.0
    for block in iterate_blocks(of_kinds(clips, FRAMEWISE), numbers):
        counts = filled_frames(block, grid)
        active += np.bincount(counts.label, counts.amount, len(numbers))[: len(classes)]
        total += float(np.ceil(block.duration_s / grid.hop_s).sum())
    return active / max(1.0, total)
