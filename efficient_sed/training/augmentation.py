"""From a batch of waveforms to augmented spectrograms, labels and teacher, in one place and one order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from efficient_sed.audio.augment.spectrum import apply_filters, mask_stripes, mix_styles, warp_frequency
from efficient_sed.audio.augment.time import mask_in_time, mix, mix_waveforms, roll_in_time
from efficient_sed.audio.augment.waveform import change_label_speed, change_speed, mix_by_loudness, shift_pitch
from efficient_sed.audio.frontends.mel import FrontEnd
from efficient_sed.config.augmentation import AugmentConfig
from efficient_sed.data.dataset import Batch
from efficient_sed.models.sed import SedModel
from efficient_sed.training.draws import Draws, KindRows, draw_batch, move_together


class Augmented(NamedTuple):
    """A batch as the student gets it.

    Attributes:
        mel: Shape (batch, 1, mel_bins, frames).
        targets: Labels, shape (batch, classes, output frames).
        teacher: Stored teacher, of the same shape.
        teacher_mels: The same clips by each of the teachers' own front ends.
        plain: `mel` without what changes a spectrum alone, for a mean teacher.
        rows: By the terms of the loss that they enter.
        annotated: Classes that count, shape (batch, classes); None for all.
    """

    mel: Tensor
    targets: Tensor
    teacher: Tensor
    teacher_mels: list[Tensor]
    plain: Tensor
    rows: KindRows
    annotated: Tensor | None


def augment_batch(
    batch: Batch,
    model: SedModel,
    config: AugmentConfig,
    rng: np.random.Generator,
    teacher_frontends: Sequence[FrontEnd] = (),
    *,
    has_teacher: bool = False,
) -> Augmented:
    """Spectrogram, labels and teacher, which go through every mix, roll and mask together.

    Labels of mixed clips are their weighted sums, as published: a class in both of them keeps its full weight. Clips
    are mixed with those of their own group: of one kind, subset and mask of classes. Random numbers are drawn on the
    CPU, so that they are the same on every device, and before anything else, so that nothing waits for a GPU.

    Args:
        batch: Its `kinds`, `groups` and `is_distilled` lie on the CPU.
        model: The student, whose front end computes the spectrogram.
        config: Which augmentations there are.
        rng: Where random numbers come from.
        teacher_frontends: Front ends of teachers, on the student's grid. Their spectrograms go through all that
            happens to the waveform or moves, mixes and blanks in time. What changes a spectrum alone, and no label,
            is for the student.
        has_teacher: Whether a model teaches on every clip.
    """
    waveform, targets, teacher = batch.waveform, batch.targets, batch.teacher
    num_frames, frontend = targets.shape[-1], model.frontend
    mel_shape = frontend.mel_bins, frontend.grid(1).num_frames(waveform.shape[1])
    rows = KindRows.of(batch.kinds, batch.is_distilled, has_teacher=has_teacher)
    drawn = draw_batch(batch.groups, rows, config, rng, num_frames, mel_shape)
    draws = move_together(drawn, waveform.device)
    if draws.speeds is not None and draws.speed_rows is not None:
        waveform = change_speed(waveform, draws.speed_rows)
        targets, teacher = change_label_speed(targets, draws.speeds), change_label_speed(teacher, draws.speeds)
    if draws.pitch_rows is not None:
        waveform = shift_pitch(waveform, draws.pitch_rows, frontend.sample_rate)
    if draws.wave_mix is not None:
        if config.wave_mix_loudness:
            waveform = mix_by_loudness(waveform, *draws.wave_mix, frontend.sample_rate)
        else:
            waveform = mix_waveforms(waveform, *draws.wave_mix)
        targets, teacher = mix(targets, *draws.wave_mix), mix(teacher, *draws.wave_mix)
    bank = () if draws.mel_bank is None else (draws.mel_bank,)
    mels: list[Tensor] = [model.frontend(waveform, *bank), *(frontend(waveform) for frontend in teacher_frontends)]
    if draws.shifts is not None:
        mels = [roll_in_time(mel, draws.shifts * model.grid.stride) for mel in mels]
        targets, teacher = roll_in_time(targets, draws.shifts), roll_in_time(teacher, draws.shifts)
    if draws.mixup is not None:
        mels = [mix(mel, *draws.mixup) for mel in mels]
        targets, teacher = mix(targets, *draws.mixup), mix(teacher, *draws.mixup)
    mels.insert(1, mels[0])
    mels[0] = _augment_spectrum(mels[0], draws)
    if draws.kept_frames is not None:
        silences = [None, None, *(frontend(torch.zeros_like(waveform[:1])) for frontend in teacher_frontends)]
        mels = [
            mask_in_time(mel, draws.kept_frames, model.grid.stride, silence)
            for mel, silence in zip(mels, silences, strict=True)
        ]
        targets, teacher = mask_in_time(targets, draws.kept_frames), mask_in_time(teacher, draws.kept_frames)
    return Augmented(mels[0], targets, teacher, mels[2:], mels[1], draws.rows, batch.annotated)


def _augment_spectrum(mel: Tensor, draws: Draws) -> Tensor:
    """What leaves labels as they are."""
    if draws.mixstyle is not None:
        mel = mix_styles(mel, *draws.mixstyle)
    if draws.gains_db is not None:
        mel = apply_filters(mel, draws.gains_db)
    if draws.warp is not None:
        mel = warp_frequency(mel, draws.warp)
    return mel if draws.stripes is None else mask_stripes(mel, *draws.stripes)
