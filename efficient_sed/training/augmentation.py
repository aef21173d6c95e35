"""From a batch of waveforms to augmented spectrograms, labels and teacher, in one place and one order."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from efficient_sed.audio.augment import draw_mixup, draw_time_masks, draw_time_shifts, mask_in_time, mix, mix_waveforms, roll_in_time
from efficient_sed.audio.augment_spectrum import apply_filters, draw_filters, draw_warps, mix_styles, warp_frequency
from efficient_sed.audio.frontend import jittered_mel_bank
from efficient_sed.config.schema import AugmentConfig
from efficient_sed.data.clip_dataset import Batch
from efficient_sed.models.sed import SedModel


def augment_batch(batch: Batch, model: SedModel, config: AugmentConfig, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Spectrogram (batch, 1, mel_bins, frames), labels and teacher, which go through every mix, roll and mask together.

    Labels of mixed clips are their weighted sums, as published: a class in both of them keeps its full weight.
    """
    waveform, targets, teacher = batch.waveform, batch.targets, batch.teacher
    if config.wave_mix_probability > 0:
        partners, share = draw_mixup(rng, len(waveform), config.wave_mix_alpha, config.wave_mix_probability)
        waveform = mix_waveforms(waveform, partners, share)
        targets, teacher = mix(targets, partners, share), mix(teacher, partners, share)
    bank = None
    if config.mel_jitter:
        bank = jittered_mel_bank(torch.Generator().manual_seed(int(rng.integers(2**31)))).to(waveform.device)
    mel: Tensor = model.frontend(waveform, bank)
    size, num_frames = len(targets), targets.shape[-1]
    if config.time_roll_sigma > 0:
        shifts = draw_time_shifts(rng, size, num_frames, config.time_roll_sigma)
        mel = roll_in_time(mel, shifts * model.grid.stride)
        targets, teacher = roll_in_time(targets, shifts), roll_in_time(teacher, shifts)
    if rng.random() < config.mixup_probability:
        partners, share = draw_mixup(rng, size, config.mixup_alpha)
        mel, targets, teacher = (mix(x, partners, share) for x in (mel, targets, teacher))
    mel = _augment_spectrum(mel, config, rng)
    if config.time_mask_max > 0:
        kept = draw_time_masks(rng, size, num_frames, config.time_mask_max)
        mel = mask_in_time(mel, kept, model.grid.stride)
        targets, teacher = mask_in_time(targets, kept), mask_in_time(teacher, kept)
    return mel, targets, teacher


def _augment_spectrum(mel: Tensor, config: AugmentConfig, rng: np.random.Generator) -> Tensor:
    """What leaves labels as they are."""
    size, mel_bins = len(mel), mel.shape[2]
    if rng.random() < config.mixstyle_probability:
        mel = mix_styles(mel, *draw_mixup(rng, size, config.mixstyle_alpha))
    if rng.random() < config.filter_probability:
        mel = apply_filters(mel, draw_filters(rng, size, mel_bins, config.filter_db, config.filter_type))
    if rng.random() < config.freq_warp_probability:
        mel = warp_frequency(mel, draw_warps(rng, size, mel_bins, config.freq_warp_min))
    return mel
