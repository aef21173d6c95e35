"""The random numbers of a training batch: drawn at once on the CPU, and copied to a GPU in one piece."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from efficient_sed.audio.augment.spectrum import draw_filters, draw_stripes, draw_warps
from efficient_sed.audio.augment.time import draw_mixup, draw_time_masks, draw_time_shifts
from efficient_sed.audio.augment.waveform import Rows, draw_factors, rows_by_factor
from efficient_sed.audio.frontends.mel import jittered_mel_bank
from efficient_sed.config.augmentation import AugmentConfig
from efficient_sed.data.events import FRAMEWISE, KINDS, LABELLED

T = TypeVar("T")
ALIGNMENT = 16  # bytes: where a tensor may begin in the copied buffer
Mix = tuple[Tensor, Tensor]
"""Partner of each clip and its own share, shape (batch,)."""


class KindRows(NamedTuple):
    """Rows of a batch by the terms of the loss that they enter, each of shape (rows,)."""

    framewise: Tensor
    """With labels of frames, strong or soft."""
    weak: Tensor
    """With labels of clips alone."""
    labelled: Tensor
    """With labels of any kind."""
    distilled: Tensor
    """With a teacher, or with labels of frames in its place."""
    distilled_clips: Tensor
    """With a teacher, or with labels of any kind in its place, as far as clips are concerned."""
    consistent: Tensor
    """That a mean teacher teaches on: all but those with soft labels, as in the baseline of DCASE 2024 Task 4."""

    @classmethod
    def of(cls, kinds: Tensor, is_distilled: Tensor, *, has_teacher: bool = False) -> KindRows:
        """Sort the rows of a batch.

        Args:
            kinds: Positions in `KINDS`, shape (batch,).
            is_distilled: Which have a stored teacher, same shape.
            has_teacher: Whether a model teaches on all of them.
        """
        is_framewise = kinds < len(FRAMEWISE)
        is_labelled = kinds < len(LABELLED)
        is_distilled = torch.ones_like(is_distilled) if has_teacher else is_distilled
        masks = (
            is_framewise, is_labelled & ~is_framewise, is_labelled,
            is_distilled | is_framewise, is_distilled | is_labelled, kinds != KINDS.index("soft"),
        )  # fmt: skip
        return cls(*(mask.nonzero()[:, 0] for mask in masks))


class Draws(NamedTuple):
    """In the order of drawing and of use; None for an augmentation that is off, or not drawn for this batch."""

    rows: KindRows
    speeds: Tensor | None = None
    """Factors, shape (batch,)."""
    speed_rows: Rows | None = None
    pitch_rows: Rows | None = None
    wave_mix: Mix | None = None
    mel_bank: Tensor | None = None
    shifts: Tensor | None = None
    mixup: Mix | None = None
    mixstyle: Mix | None = None
    gains_db: Tensor | None = None
    warp: Tensor | None = None
    stripes: tuple[Tensor, Tensor] | None = None
    kept_frames: Tensor | None = None


def draw_batch(
    groups: Tensor,
    rows: KindRows,
    config: AugmentConfig,
    rng: np.random.Generator,
    num_frames: int,
    mel_shape: tuple[int, int],
) -> Draws:
    """All random numbers of a batch's augmentation, on the CPU.

    Args:
        config: Which augmentations there are.
        rng: Where the numbers come from.
        groups: Number of each clip's group, shape (batch,), on the CPU; only clips of one group are mixed.
        rows: Of the batch, on the CPU.
        num_frames: Output frames of a clip.
        mel_shape: Mel bins and frames of the student's spectrogram.
    """
    size, (mel_bins, mel_frames) = len(groups), mel_shape
    members = [np.flatnonzero(groups.numpy() == group) for group in np.unique(groups.numpy())]
    draws = Draws(rows)
    if config.speed_change > 0:
        speeds = draw_factors(rng, size, config.speed_change)
        draws = draws._replace(speeds=torch.from_numpy(speeds), speed_rows=rows_by_factor(speeds))
    if config.pitch_shift > 0:
        draws = draws._replace(pitch_rows=rows_by_factor(draw_factors(rng, size, config.pitch_shift)))
    if config.wave_mix_probability > 0:
        alpha, share = config.wave_mix_alpha, config.wave_mix_probability
        mixes = [(group, draw_mixup(rng, len(group), alpha, share)) for group in members]
        draws = draws._replace(wave_mix=_join(size, mixes))
    if config.mel_jitter:
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        draws = draws._replace(mel_bank=jittered_mel_bank(generator, mel_bins))
    if config.time_roll_sigma > 0:
        draws = draws._replace(shifts=draw_time_shifts(rng, size, num_frames, config.time_roll_sigma))
    if mixups := _draw_mixups(members, rows, config, rng):
        draws = draws._replace(mixup=_join(size, mixups))
    if rng.random() < config.mixstyle_probability:
        draws = draws._replace(mixstyle=draw_mixup(rng, size, config.mixstyle_alpha))
    if rng.random() < config.filter_probability:
        draws = draws._replace(gains_db=draw_filters(rng, size, mel_bins, config.filter_db, config.filter_type))
    if rng.random() < config.freq_warp_probability:
        draws = draws._replace(warp=draw_warps(rng, size, mel_bins, config.freq_warp_min))
    if config.spec_mask_bins or config.spec_mask_frames:
        shape, most = (size, mel_bins, mel_frames), (config.spec_mask_bins, config.spec_mask_frames)
        draws = draws._replace(stripes=draw_stripes(rng, shape, config.spec_masks, *most))
    if config.time_mask_max > 0:
        draws = draws._replace(kept_frames=draw_time_masks(rng, size, num_frames, config.time_mask_max))
    return draws


def _draw_mixups(
    members: Sequence[np.ndarray], rows: KindRows, config: AugmentConfig, rng: np.random.Generator
) -> list[tuple[np.ndarray, Mix]]:
    """Places and mixes of those groups of a batch whose spectrograms are mixed."""
    framewise = set(rows.framewise.tolist())
    strong, weak = (
        (config.mixup_probability, config.mixup_alpha),
        (config.weak_mixup_probability, config.weak_mixup_alpha),
    )
    mixups = []
    for group in members:
        probability, alpha = strong if int(group[0]) in framewise else weak
        if rng.random() < probability:
            mixups.append((group, draw_mixup(rng, len(group), alpha)))
    return mixups


def _join(size: int, mixups: Sequence[tuple[np.ndarray, Mix]]) -> Mix:
    """Partners and shares, shape (size,), from those among the clips at some places; the others keep a share of 1."""
    partners, shares = torch.arange(size), torch.ones(size)
    for places, (among, share) in mixups:
        partners[places] = torch.from_numpy(places)[among]
        shares[places] = share
    return partners, shares


def move_together(collection: T, device: torch.device) -> T:
    """A collection of CPU tensors on a device, by one copy from pinned memory however many they are."""
    tensors: list[Tensor] = []
    apply_to_collection(collection, Tensor, tensors.append)
    if device.type == "cpu" or not tensors:
        return collection
    ends = np.cumsum([-(-tensor.nbytes // ALIGNMENT) * ALIGNMENT for tensor in tensors]).tolist()
    buffer = torch.empty(ends[-1], dtype=torch.uint8, pin_memory=device.type == "cuda")
    places = [(start, tensor) for start, tensor in zip([0, *ends], tensors, strict=False)]
    for start, tensor in places:
        buffer[start : start + tensor.nbytes] = tensor.contiguous().flatten().view(torch.uint8)
    moved = buffer.to(device, non_blocking=device.type == "cuda")  # MPS may free what is not pinned before it is copied
    pieces = iter([moved[start : start + old.nbytes].view(old.dtype).view(old.shape) for start, old in places])
    result: T = apply_to_collection(collection, Tensor, lambda _: next(pieces))
    return result
