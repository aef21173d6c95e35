"""From a batch of waveforms to augmented spectrograms, labels and teacher, in one place and one order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from efficient_sed.audio.augment import draw_mixup, draw_time_masks, draw_time_shifts, mask_in_time, mix, mix_waveforms, roll_in_time
from efficient_sed.audio.augment_spectrum import apply_filters, draw_filters, draw_stripes, draw_warps, mask_stripes, mix_styles, warp_frequency
from efficient_sed.audio.augment_waveform import change_label_speed, change_speed, draw_factors, mix_by_loudness, shift_pitch
from efficient_sed.audio.frontend import FrontEnd, jittered_mel_bank
from efficient_sed.config.schema import AugmentConfig
from efficient_sed.data.clip_dataset import Batch
from efficient_sed.models.sed import SedModel


class Augmented(NamedTuple):
    """A batch as the student gets it.

    Attributes:
        mel: Shape (batch, 1, mel_bins, frames).
        targets: Labels, shape (batch, classes, output frames).
        teacher: Stored teacher, of the same shape.
        heard: The same clips as a teacher's own front end hears them, for each listener.
    """

    mel: Tensor
    targets: Tensor
    teacher: Tensor
    heard: list[Tensor]


def augment_batch(batch: Batch, model: SedModel, config: AugmentConfig, rng: np.random.Generator, listeners: Sequence[FrontEnd] = ()) -> Augmented:
    """Spectrogram, labels and teacher, which go through every mix, roll and mask together.

    Labels of mixed clips are their weighted sums, as published: a class in both of them keeps its full weight. Weak clips are mixed with weak ones,
    strong with strong ones.

    Args:
        listeners: Front ends of teachers, on the student's grid. What they hear goes through all that happens to the waveform or moves, mixes and
            blanks in time; what changes a spectrum alone, and no label, is for the student.
    """
    waveform, targets, teacher = batch.waveform, batch.targets, batch.teacher
    is_weak = batch.is_weak.cpu().numpy()
    kinds = [(np.flatnonzero(~is_weak), config.mixup_probability, config.mixup_alpha), (np.flatnonzero(is_weak), config.weak_mixup_probability, config.weak_mixup_alpha)]
    if config.speed_change > 0:
        speeds = draw_factors(rng, len(targets), config.speed_change)
        waveform = change_speed(waveform, speeds)
        targets, teacher = change_label_speed(targets, speeds), change_label_speed(teacher, speeds)
    if config.pitch_shift > 0:
        waveform = shift_pitch(waveform, draw_factors(rng, len(targets), config.pitch_shift), model.frontend.sample_rate)
    if config.wave_mix_probability > 0:
        partners, share = _join(len(targets), [(kind, draw_mixup(rng, len(kind), config.wave_mix_alpha, config.wave_mix_probability)) for kind, _, _ in kinds])
        if config.wave_mix_loudness:
            waveform = mix_by_loudness(waveform, partners, share, model.frontend.sample_rate)
        else:
            waveform = mix_waveforms(waveform, partners, share)
        targets, teacher = mix(targets, partners, share), mix(teacher, partners, share)
    jitter = (jittered_mel_bank(torch.Generator().manual_seed(int(rng.integers(2**31)))).to(waveform.device),) if config.mel_jitter else ()
    mels: list[Tensor] = [model.frontend(waveform, *jitter), *(frontend(waveform) for frontend in listeners)]
    size, num_frames = len(targets), targets.shape[-1]
    if config.time_roll_sigma > 0:
        shifts = draw_time_shifts(rng, size, num_frames, config.time_roll_sigma)
        mels = [roll_in_time(mel, shifts * model.grid.stride) for mel in mels]
        targets, teacher = roll_in_time(targets, shifts), roll_in_time(teacher, shifts)
    mixups = [(kind, draw_mixup(rng, len(kind), alpha)) for kind, probability, alpha in kinds if len(kind) and rng.random() < probability]
    if mixups:
        partners, share = _join(size, mixups)
        mels, targets, teacher = [mix(mel, partners, share) for mel in mels], mix(targets, partners, share), mix(teacher, partners, share)
    mels[0] = _augment_spectrum(mels[0], config, rng)
    if config.time_mask_max > 0:
        kept = draw_time_masks(rng, size, num_frames, config.time_mask_max)
        silences = [None, *(frontend(torch.zeros_like(waveform[:1])) for frontend in listeners)]
        mels = [mask_in_time(mel, kept, model.grid.stride, silence) for mel, silence in zip(mels, silences, strict=True)]
        targets, teacher = mask_in_time(targets, kept), mask_in_time(teacher, kept)
    return Augmented(mels[0], targets, teacher, mels[1:])


def _join(size: int, mixups: Sequence[tuple[np.ndarray, tuple[Tensor, Tensor]]]) -> tuple[Tensor, Tensor]:
    """Partners and shares, shape (size,), from those among the clips at some places; the others keep a share of 1."""
    partners, shares = torch.arange(size), torch.ones(size)
    for places, (among, share) in mixups:
        partners[places] = torch.from_numpy(places)[among]
        shares[places] = share
    return partners, shares


def _augment_spectrum(mel: Tensor, config: AugmentConfig, rng: np.random.Generator) -> Tensor:
    """What leaves labels as they are."""
    size, mel_bins = len(mel), mel.shape[2]
    if rng.random() < config.mixstyle_probability:
        mel = mix_styles(mel, *draw_mixup(rng, size, config.mixstyle_alpha))
    if rng.random() < config.filter_probability:
        mel = apply_filters(mel, draw_filters(rng, size, mel_bins, config.filter_db, config.filter_type))
    if rng.random() < config.freq_warp_probability:
        mel = warp_frequency(mel, draw_warps(rng, size, mel_bins, config.freq_warp_min))
    if config.spec_mask_bins or config.spec_mask_frames:
        mel = mask_stripes(mel, draw_stripes(rng, (size, mel_bins, mel.shape[3]), config.spec_masks, config.spec_mask_bins, config.spec_mask_frames))
    return mel
