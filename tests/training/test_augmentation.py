"""A batch is augmented as configured: every option has an effect, labels and teacher go with the sound, a generator
decides all."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from efficient_sed.audio.frontends.asit import AsitMel
from efficient_sed.config.augmentation import AugmentConfig
from efficient_sed.data.dataset import Batch
from efficient_sed.models.factory import create_model
from efficient_sed.models.sed import SedModel
from efficient_sed.training.augmentation import augment_batch

OFF = AugmentConfig(wave_mix_probability=0.0, mixup_probability=0.0, time_roll_sigma=0.0, mel_jitter=False)
EVERYTHING = AugmentConfig(
    wave_mix_probability=1.0, mixup_probability=1.0, mixstyle_probability=1.0, time_mask_max=0.3,
    filter_probability=1.0, freq_warp_probability=1.0, time_roll_sigma=0.2,
    speed_change=0.3, pitch_shift=0.2, spec_mask_frames=40, spec_mask_bins=20,
)  # fmt: skip
ON = {
    "speed": replace(OFF, speed_change=0.3),
    "pitch": replace(OFF, pitch_shift=0.3),
    "wave_mix": replace(OFF, wave_mix_probability=1.0),
    "wave_mix_loudness": replace(OFF, wave_mix_probability=1.0, wave_mix_loudness=True),
    "mel_jitter": replace(OFF, mel_jitter=True),
    "time_roll": replace(OFF, time_roll_sigma=0.2),
    "mixup": replace(OFF, mixup_probability=1.0),
    "mixstyle": replace(OFF, mixstyle_probability=1.0),
    "time_mask": replace(OFF, time_mask_max=0.3),
    "filter": replace(OFF, filter_probability=1.0),
    "freq_warp": replace(OFF, freq_warp_probability=1.0),
    "spec_mask_frames": replace(OFF, spec_mask_frames=40),
    "spec_mask_bins": replace(OFF, spec_mask_bins=20),
}
MOVES_LABELS = {"speed", "wave_mix", "wave_mix_loudness", "time_roll", "mixup", "time_mask"}
IS_WEAK = torch.tensor([True, False, True, False, False, True])
TURN = {
    "mel_jitter": False,
    "filter_type": "step",
    "wave_mix_loudness": True,
    "spec_masks": 1,
    "spec_mask_frames": 20,
    "spec_mask_bins": 10,
}


@pytest.fixture(scope="module")
def model() -> SedModel:
    return create_model("fmn04", num_classes=3)


@pytest.fixture(scope="module")
def batch() -> Batch:
    """Bursts of noise under their labels; the teacher says 0.8 where they say 1."""
    generator = torch.Generator().manual_seed(0)
    targets = (torch.rand(6, 3, 50, generator=generator) > 0.8).float()
    loud = targets.amax(1).repeat_interleave(640, 1)
    return Batch.of_strong(0.01 + loud * torch.randn(6, 32_000, generator=generator), targets, 0.8 * targets)


def augment(
    batch: Batch, model: SedModel, config: AugmentConfig, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return augment_batch(batch, model, config, np.random.default_rng(seed))[:3]


def test_all_off_changes_nothing(batch: Batch, model: SedModel) -> None:
    mel, targets, teacher = augment(batch, model, OFF)
    assert torch.equal(mel, model.frontend(batch.waveform))
    assert torch.equal(targets, batch.targets)
    assert torch.equal(teacher, batch.teacher)


@pytest.mark.parametrize("name", ON)
def test_each_one_alone(batch: Batch, model: SedModel, name: str) -> None:
    plain = model.frontend(batch.waveform)
    mel, targets, teacher = augment(batch, model, ON[name])
    assert mel.shape == plain.shape
    assert mel.isfinite().all()
    assert not torch.allclose(mel, plain, atol=1e-3)
    assert torch.equal(targets, batch.targets) == (name not in MOVES_LABELS)
    assert targets.min() >= 0
    assert targets.max() <= 1 + 1e-6
    torch.testing.assert_close(teacher, 0.8 * targets)  # what happens to labels happens to the teacher


@pytest.mark.parametrize("key", [field.name for field in fields(AugmentConfig)])
def test_every_option_has_an_effect(batch: Batch, model: SedModel, key: str) -> None:
    value = 0.0 if key.endswith("_probability") else TURN[key] if key in TURN else getattr(EVERYTHING, key) / 2
    if key.startswith("weak"):
        batch = batch._replace(kinds=2 * IS_WEAK.long(), groups=IS_WEAK.long())
    before, after = augment(batch, model, EVERYTHING), augment(batch, model, replace(EVERYTHING, **{key: value}))
    assert not torch.equal(before[0], after[0])


@pytest.mark.parametrize("config", [EVERYTHING, AugmentConfig()], ids=["everything", "default"])
def test_a_generator_decides(batch: Batch, model: SedModel, config: AugmentConfig) -> None:
    torch.manual_seed(1)
    first = augment(batch, model, config)
    torch.manual_seed(2)  # the global generators take no part
    np.random.seed(3)
    again, other = augment(batch, model, config), augment(batch, model, config, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_the_batch_is_left_as_it_was(batch: Batch, model: SedModel) -> None:
    before = [tensor.clone() for tensor in batch[:3]]
    augment(batch, model, EVERYTHING)
    assert all(torch.equal(a, b) for a, b in zip(before, batch[:3], strict=True))


def test_labels_stay_on_their_sound(batch: Batch, model: SedModel) -> None:
    """Where the clip is loud, its labels are, after a roll and a mask too."""
    mel, targets, _ = augment(batch, model, replace(OFF, time_roll_sigma=0.3, time_mask_max=0.3))
    frames = mel[:, 0].mean(1).view(6, 50, 4).mean(-1)
    is_masked = (mel[:, 0] == 0).all(1).view(6, 50, 4).all(-1)
    assert is_masked.any(1).all()
    is_labelled = targets.any(1)
    assert not (is_labelled & is_masked).any()
    inside = (
        is_labelled & torch.roll(is_labelled, 1, 1) & torch.roll(is_labelled, -1, 1)
    )  # away from edges, which the window blurs
    outside = ~(is_labelled | torch.roll(is_labelled, 1, 1) | torch.roll(is_labelled, -1, 1) | is_masked)
    assert float(frames[inside].min()) > float(frames[outside].max())


@pytest.mark.parametrize("name", ON)
def test_a_teacher_with_another_front_end_hears_the_same_clip(batch: Batch, model: SedModel, name: str) -> None:
    """It goes through all that moves labels, and through nothing that only makes the student's task harder."""
    listener, other = model.frontend, AsitMel()
    plain = augment_batch(batch, model, OFF, np.random.default_rng(0), [listener, other])
    torch.testing.assert_close(plain.teacher_mels, [listener(batch.waveform), other(batch.waveform)], rtol=0, atol=0)
    augmented = augment_batch(batch, model, ON[name], np.random.default_rng(0), [listener, other])
    assert torch.equal(augmented.mel, augment(batch, model, ON[name])[0])  # it costs the student no draw
    assert augmented.teacher_mels[1].shape == other(batch.waveform).shape
    if name in MOVES_LABELS or name == "pitch":
        blanked = (
            augmented.mel != augmented.teacher_mels[0]
        )  # with what the student takes for nothing, and each listener's front end makes of it
        assert blanked.any() == (name == "time_mask")
        assert (augmented.mel[blanked] == 0).all()
        torch.testing.assert_close(
            augmented.teacher_mels[0][blanked],
            listener(torch.zeros_like(batch.waveform)).expand_as(augmented.mel)[blanked],
        )
        assert not torch.equal(augmented.teacher_mels[1], plain.teacher_mels[1])
    else:
        assert torch.equal(augmented.teacher_mels[0], plain.teacher_mels[0])
        assert not torch.equal(augmented.mel, plain.mel)
    if "jitter" not in name and name != "time_mask":
        assert torch.equal(augmented.plain, augmented.teacher_mels[0])  # what a mean teacher gets
