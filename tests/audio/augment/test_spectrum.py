"""Augmentations along frequency change a spectrogram as they change its sound; at strength zero they change nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from efficient_sed.audio.augment.spectrum import (
    apply_filters,
    draw_filters,
    draw_stripes,
    draw_warps,
    mask_stripes,
    mix_styles,
    warp_frequency,
)
from efficient_sed.audio.augment.time import draw_mixup
from efficient_sed.audio.frontends.mel import LogMel

MEL_BINS = 128


def test_style_is_the_partners_mean_and_deviation() -> None:
    mel = torch.randn(4, 1, 16, 300) * (0.5 + torch.rand(4, 1, 16, 1)) + torch.randn(4, 1, 16, 1)
    partners, share = torch.tensor([1, 2, 3, 0]), torch.tensor([1.0, 0.75, 0.5, 0.9])
    styled = mix_styles(mel, partners, share)
    assert styled.shape == mel.shape
    torch.testing.assert_close(styled[0], mel[0])
    weight = share.view(-1, 1, 1, 1)
    for statistic in (torch.mean, torch.std):
        own = statistic(mel, -1, keepdim=True)
        torch.testing.assert_close(
            statistic(styled, -1, keepdim=True), weight * own + (1 - weight) * own[partners], rtol=1e-3, atol=1e-4
        )
    within = torch.corrcoef(torch.stack([mel[1, 0, 3], styled[1, 0, 3]]))[0, 1]
    assert float(within) == pytest.approx(1.0, abs=1e-5)  # what happens in time stays


def test_silence_keeps_its_style_finite() -> None:
    assert mix_styles(torch.zeros(2, 1, 8, 50), *draw_mixup(np.random.default_rng(0), 2, 0.4)).isfinite().all()


@pytest.mark.parametrize("kind", ["linear", "step"])
@given(seed=st.integers(0, 500), max_db=st.floats(0, 12), mel_bins=st.sampled_from([40, 64, 128]))
def test_filters_stay_within_their_range(kind: str, seed: int, max_db: float, mel_bins: int) -> None:
    gains = draw_filters(np.random.default_rng(seed), 8, mel_bins, max_db, kind)
    assert gains.shape == (8, mel_bins)
    assert float(gains.abs().max()) <= max_db + 1e-5
    if max_db > 1:
        assert len({tuple(row) for row in gains.tolist()}) == 8  # each clip's own
    bends = gains.diff(dim=1) if kind == "step" else gains.diff(dim=1).diff(dim=1)
    for row in bends.abs() > 1e-4:
        bands = [0, *(int(k) + 1 for k in row.nonzero().flatten()), mel_bins]
        if kind == "step":
            assert len(bands) - 1 <= 5
            assert min(np.diff(bands)) >= 6
        else:
            assert len(bands) - 2 <= 8  # a bend shows in one or two second differences


def test_a_filter_is_an_amplifier() -> None:
    """Six decibels on every bin are the spectrogram of a sound twice as strong."""
    waveform = 0.1 * torch.randn(2, 16_000, generator=torch.Generator().manual_seed(0))
    frontend = LogMel()
    louder = apply_filters(frontend(waveform), torch.full((2, MEL_BINS), 20 * math.log10(2)))
    torch.testing.assert_close(
        louder[:, :, 1:], frontend(2 * waveform)[:, :, 1:], rtol=0, atol=1e-4
    )  # the lowest bin is empty


def test_no_gain_is_no_filter() -> None:
    mel = torch.randn(3, 1, MEL_BINS, 20)
    assert torch.equal(apply_filters(mel, draw_filters(np.random.default_rng(0), 3, MEL_BINS, 0.0, "linear")), mel)


@given(seed=st.integers(0, 500), min_share=st.floats(0.1, 1.0))
def test_warps_stay_on_the_axis(seed: int, min_share: float) -> None:
    positions = draw_warps(np.random.default_rng(seed), 8, MEL_BINS, min_share)
    assert positions.shape == (8, MEL_BINS)
    assert positions.min() >= 0
    assert positions.max() <= MEL_BINS - 1 + 1e-4
    span = (positions[:, -1] - positions[:, 0]) / (MEL_BINS - 1)
    assert span.min() >= min_share - 1e-5
    assert span.max() <= 1 + 1e-5
    assert (positions.diff(dim=1) > 0).all()


def test_warps_move_and_stretch() -> None:
    mel = torch.arange(MEL_BINS).float().view(1, 1, -1, 1).expand(3, 1, MEL_BINS, 10)  # each bin holds its own number
    positions = draw_warps(np.random.default_rng(3), 3, MEL_BINS, 0.6)
    warped = warp_frequency(mel, positions)
    torch.testing.assert_close(warped, positions[:, None, :, None].expand_as(mel), rtol=0, atol=1e-4)


def test_the_whole_range_is_no_warp() -> None:
    mel = torch.randn(3, 1, MEL_BINS, 20)
    torch.testing.assert_close(
        warp_frequency(mel, draw_warps(np.random.default_rng(0), 3, MEL_BINS, 1.0)), mel, rtol=0, atol=1e-4
    )


@pytest.mark.parametrize(
    "draw",
    [lambda rng: draw_filters(rng, 8, 128, 6.0, "linear").tolist(), lambda rng: draw_warps(rng, 8, 128, 0.6).tolist()],
    ids=["filters", "warps"],
)
def test_a_seed_decides(draw: object) -> None:
    assert callable(draw)
    assert draw(np.random.default_rng([3, 7])) == draw(np.random.default_rng([3, 7]))
    assert draw(np.random.default_rng([3, 7])) != draw(np.random.default_rng([3, 8]))


@given(
    seed=st.integers(0, 1000),
    stripes=st.integers(1, 3),
    max_bins=st.sampled_from([0, 1, 8, 16]),
    max_frames=st.sampled_from([0, 20, 64]),
)
def test_stripes_are_whole_and_narrow(seed: int, stripes: int, max_bins: int, max_frames: int) -> None:
    kept_bins, kept_frames = draw_stripes(np.random.default_rng(seed), (5, 64, 200), stripes, max_bins, max_frames)
    assert (kept_bins.shape, kept_frames.shape) == ((5, 1, 64, 1), (5, 1, 1, 200))
    for bins, frames in zip(~kept_bins[:, 0, :, 0], ~kept_frames[:, 0, 0], strict=True):
        assert bins.sum() <= stripes * max(0, max_bins - 1)
        assert frames.sum() <= stripes * max(0, max_frames - 1)
        for line in (bins, frames):
            assert (line.int().diff(prepend=torch.zeros(1, dtype=torch.int)) == 1).sum() <= stripes


def test_stripes_take_the_clips_mean_and_leave_the_rest() -> None:
    state = torch.get_rng_state()
    kept = draw_stripes(np.random.default_rng(0), (40, 64, 200), 2, 16, 64)
    assert torch.equal(torch.get_rng_state(), state)
    masked = ~(kept[0] & kept[1])
    assert 0.2 < float(masked.float().mean()) < 0.5
    mel = torch.randn(40, 1, 64, 200) + 10 * torch.arange(40).view(-1, 1, 1, 1)
    after = mask_stripes(mel, *kept)
    assert torch.equal(after[~masked], mel[~masked])
    torch.testing.assert_close(after[masked], mel.mean((1, 2, 3), keepdim=True).expand_as(mel)[masked])
