"""Augmentations move and mix what they say, and labels stay with the sound."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from efficient_sed.audio.augment.time import (
    draw_mixup,
    draw_time_masks,
    draw_time_shifts,
    mask_in_time,
    mix,
    mix_waveforms,
    roll_in_time,
)
from efficient_sed.audio.frontends.mel import LogMel
from efficient_sed.audio.grid import FrameGrid

STRIDE = FrameGrid().stride


@pytest.mark.parametrize("shape", [(5, 30), (5, 3, 30), (5, 1, 8, 30)])
def test_roll_is_that_of_torch(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape)
    shifts = torch.tensor([0, 1, -1, 29, -1000])
    rolled = roll_in_time(x, shifts)
    expected = torch.stack([torch.roll(example, int(shift), -1) for example, shift in zip(x, shifts, strict=True)])
    assert torch.equal(rolled, expected)
    assert torch.equal(roll_in_time(rolled, -shifts), x)


def test_labels_stay_with_the_sound() -> None:
    """A burst in an otherwise silent clip, and the label of the frames it fills, before and after a roll."""
    num_clips, burst = 8, 10 * 640  # the burst begins with output frame 10
    waveform = torch.zeros(num_clips, 32_000)
    waveform[:, burst + 200 : burst + 440] = torch.randn(num_clips, 240)
    targets = torch.zeros(num_clips, 2, 50)
    targets[:, 1, 10] = 1
    mel = LogMel()(waveform)
    shifts = draw_time_shifts(np.random.default_rng(0), num_clips, 50, sigma=0.3)
    assert len(shifts.unique()) > 4
    mel, targets = roll_in_time(mel, shifts * STRIDE), roll_in_time(targets, shifts)
    loudest = mel[:, 0].mean(1).argmax(-1) // STRIDE
    assert torch.equal(loudest, targets[:, 1].argmax(-1))
    assert torch.equal(loudest, (10 + shifts) % 50)
    assert not targets[:, 0].any()


def test_mix_keeps_the_shares() -> None:
    partners, share = torch.tensor([1, 2, 0]), torch.tensor([1.0, 0.75, 0.5])
    for shape in [(3, 7), (3, 2, 7), (3, 1, 4, 7)]:
        x = torch.randn(shape)
        mixed = mix(x, partners, share)
        for k in range(3):
            torch.testing.assert_close(mixed[k], share[k] * x[k] + (1 - share[k]) * x[partners[k]])
    labels = torch.eye(3)
    torch.testing.assert_close(
        mix(labels, partners, share), torch.tensor([[1.0, 0, 0], [0, 0.75, 0.25], [0.5, 0, 0.5]])
    )
    assert mix(labels.half(), partners, share).dtype == torch.float16


@pytest.mark.parametrize("alpha", [0.2, 2.0])
def test_own_share_is_at_least_half(alpha: float) -> None:
    partners, share = draw_mixup(np.random.default_rng(0), 1000, alpha)
    assert sorted(partners.tolist()) == list(range(1000))
    assert share.dtype == torch.float32
    assert share.min() >= 0.5
    assert share.max() <= 1.0
    for limit in (0.6, 0.75, 0.99):  # share is the larger of two that add up to one
        assert float((share > limit).float().mean()) == pytest.approx(2 * beta.sf(limit, alpha, alpha), abs=0.05)


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_only_some_are_mixed(probability: float) -> None:
    _, share = draw_mixup(np.random.default_rng(0), 2000, 2.0, probability)
    assert float((share < 1).float().mean()) == pytest.approx(probability, abs=0.03)


def test_waveforms_are_mixed_without_their_means() -> None:
    partners, share = torch.tensor([2, 0, 1]), torch.tensor([0.75, 1.0, 0.5])
    waveform = torch.randn(3, 1000) + torch.tensor([[0.5], [-0.25], [0.0]])
    mixed = mix_waveforms(waveform, partners, share)
    centred = waveform - waveform.mean(1, keepdim=True)
    torch.testing.assert_close(mixed[0], 0.75 * centred[0] + 0.25 * centred[2])
    torch.testing.assert_close(mixed[2], 0.5 * centred[2] + 0.5 * centred[1])
    assert torch.equal(mixed[1], waveform[1])  # not even centred
    assert mixed[[0, 2]].mean(1).abs().max() < 1e-6
    assert torch.equal(mix_waveforms(waveform, partners, torch.ones(3)), waveform)


@given(seed=st.integers(0, 1000), num_frames=st.integers(20, 260), max_share=st.floats(0.05, 0.9))
def test_masks_are_one_stretch_of_the_right_length(seed: int, num_frames: int, max_share: float) -> None:
    kept = draw_time_masks(np.random.default_rng(seed), 16, num_frames, max_share)
    assert kept.shape == (16, num_frames)
    for row in kept.tolist():
        masked = [k for k, keep in enumerate(row) if not keep]
        assert masked == list(range(masked[0], masked[0] + len(masked)))
        assert round(0.05 * num_frames) - 1 <= len(masked) <= round(max_share * num_frames) + 1


def test_masks_reach_every_frame_and_differ() -> None:
    kept = draw_time_masks(np.random.default_rng(0), 500, 50, 0.2)
    assert not kept.all(0).any()
    assert len({tuple(row) for row in kept.tolist()}) > 100


def test_a_mask_covers_the_same_time_in_spectrogram_and_labels() -> None:
    kept = draw_time_masks(np.random.default_rng(1), 6, 25, 0.4)
    mel, labels = mask_in_time(torch.ones(6, 1, 8, 100), kept, STRIDE), mask_in_time(torch.ones(6, 3, 25), kept)
    assert torch.equal(labels, kept.float()[:, None].expand(6, 3, 25))
    assert torch.equal(mel, kept.float().repeat_interleave(4, 1)[:, None, None].expand(6, 1, 8, 100))
    assert torch.equal(mask_in_time(mel, torch.ones_like(kept), STRIDE), mel)


def test_shifts_are_whole_frames_of_the_right_spread() -> None:
    shifts = draw_time_shifts(np.random.default_rng(0), 20_000, 250, sigma=0.125)
    assert shifts.dtype == torch.int64
    assert float(shifts.double().std()) == pytest.approx(0.125 * 250, rel=0.03)
    assert abs(float(shifts.double().mean())) < 1


Draw = Callable[[np.random.Generator], object]


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: draw_time_shifts(rng, 16, 250, 0.125).tolist(),
        lambda rng: [t.tolist() for t in draw_mixup(rng, 16, 0.2)],
        lambda rng: draw_time_masks(rng, 16, 250, 0.2).tolist(),
    ],
    ids=["shifts", "mixup", "masks"],
)
def test_a_seed_decides(draw: Draw) -> None:
    assert draw(np.random.default_rng([3, 7])) == draw(np.random.default_rng([3, 7]))
    assert draw(np.random.default_rng([3, 7])) != draw(np.random.default_rng([3, 8]))
