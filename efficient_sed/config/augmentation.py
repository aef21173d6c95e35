"""Options of the augmentation of training batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from efficient_sed.config.values import WHOLE
from efficient_sed.errors import require


@dataclass(frozen=True)
class AugmentConfig:
    """Augmentations of training batches, in the order of their use; the released models were trained with the defaults.

    A "probability" is a share from 0 to 1; 0 turns the augmentation off. An "alpha" is the parameter, above 0, of the
    symmetric Beta distribution that a mixing weight is drawn from.
    """

    speed_change: float = 0.0
    """Largest relative change of every clip's speed and pitch together, by resampling; 0 to 0.5 in steps of 0.05, so
    0.5 draws factors of 0.5 to 1.5. Default 0: none."""
    pitch_shift: float = 0.0
    """Largest relative change of every clip's pitch at the same speed, by a phase vocoder; 0 to 0.5 in steps of 0.05.
    Default 0: none."""
    wave_mix_probability: float = 0.5
    """Share of clips whose waveform is mixed with that of another clip of the batch. Labels and teacher are mixed with
    the same weight."""
    wave_mix_alpha: float = 2.0
    """Alpha of the mixing weight; the larger share is the clip's own."""
    wave_mix_loudness: bool = False
    """Whether the mixing weight is that of the clips' A-weighted sound pressures (between-class learning) instead of
    that of their amplitudes."""
    mel_jitter: bool = True
    """Whether the edges of the mel bank are drawn anew for every batch: low edge 0 to 10 Hz, high edge 6000 to 8000
    Hz."""
    time_roll_sigma: float = 0.125
    """Standard deviation of the circular shift in time, as a share of the clip, 0 or more; 0 for none."""
    mixup_probability: float = 0.3
    """Share of batches whose spectrograms are mixed in pairs."""
    mixup_alpha: float = 0.2
    """Alpha of the mixing weight."""
    weak_mixup_probability: float = 1.0
    """As mixup_probability, for weak and unlabelled clips. Clips are mixed only with those of their own kind and
    subset."""
    weak_mixup_alpha: float = 0.3
    """Alpha of the mixing weight of weak and unlabelled clips."""
    mixstyle_probability: float = 0.0
    """Share of batches in which clips take on part of another clip's mean and deviation in each mel bin. Default 0:
    off."""
    mixstyle_alpha: float = 0.4
    """Alpha of the mixing weight."""
    filter_probability: float = 0.0
    """Share of batches whose clips are each filtered in three to five random frequency bands. Default 0: off."""
    filter_db: float = 6.0
    """Largest gain and attenuation of a band in dB, 0 or more."""
    filter_type: Literal["linear", "step"] = "linear"
    """Gain along frequency: `linear` draws straight lines between the bands' edges, `step` is constant in each band."""
    freq_warp_probability: float = 0.0
    """Share of batches in which a random range of each clip's mel bins is stretched over all bins. Default 0: off."""
    freq_warp_min: float = 0.6
    """Smallest such range, as a share of the mel bins; above 0, at most 1."""
    time_mask_max: float = 0.0
    """Longest excerpt that is blanked in every clip, in its labels and its teacher too, as a share of the clip: 0.05 to
    0.9, where 0.05 is the shortest. Default 0: none."""
    spec_masks: int = 2
    """SpecAugment: number of stripes of each kind per clip, 1 or more. They are filled with the clip's mean; labels and
    teacher stay as they are."""
    spec_mask_frames: int = 0
    """Width that a stripe in time stays below, in frames of the spectrogram, 0 or more. Default 0: no such stripes."""
    spec_mask_bins: int = 0
    """Width that a stripe in frequency stays below, in mel bins, 0 or more. Default 0: no such stripes."""

    def __post_init__(self) -> None:
        for name in ("wave_mix", "mixup", "weak_mixup", "mixstyle", "filter", "freq_warp"):
            probability = getattr(self, f"{name}_probability")
            require(0 <= probability <= 1, f"train.augment.{name}_probability", probability, "0 to 1")
        for name in ("wave_mix_alpha", "mixup_alpha", "weak_mixup_alpha", "mixstyle_alpha"):
            require(getattr(self, name) > 0, f"train.augment.{name}", getattr(self, name), "above 0")
        for name in ("time_roll_sigma", "spec_mask_frames", "spec_mask_bins"):
            require(getattr(self, name) >= 0, f"train.augment.{name}", getattr(self, name), "0 or more")
        is_mask = self.time_mask_max == 0 or 0.05 <= self.time_mask_max <= 0.9
        require(is_mask, "train.augment.time_mask_max", self.time_mask_max, "0.05 to 0.9, or 0 for no mask")
        for name in ("speed_change", "pitch_shift"):
            value = getattr(self, name)
            is_step = abs(20 * value - round(20 * value)) < WHOLE
            require(0 <= value <= 0.5 and is_step, f"train.augment.{name}", value, "0 to 0.5 in steps of 0.05")
        is_used = self.wave_mix_probability > 0 or not self.wave_mix_loudness
        require(is_used, "train.augment.wave_mix_loudness", True, "false with train.augment.wave_mix_probability=0")
        off = "train.augment.spec_mask_frames=0 and spec_mask_bins=0 turn them off"
        require(self.spec_masks >= 1, "train.augment.spec_masks", self.spec_masks, f"1 or more; {off}")
        require(self.filter_db >= 0, "train.augment.filter_db", self.filter_db, "0 dB or more")
        require(0 < self.freq_warp_min <= 1, "train.augment.freq_warp_min", self.freq_warp_min, "above 0, at most 1")
