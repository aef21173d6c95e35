"""Mixtures by loudness and changes of speed do what they say, and labels stay with the sound."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from efficient_sed.audio.augment.waveform import (
    a_weighting,
    change_label_speed,
    change_speed,
    draw_factors,
    loudness_db,
    mix_by_loudness,
    rows_by_factor,
    shift_pitch,
)

RATE = 16_000


def tone(hz: float, amplitude: float = 1.0, seconds: float = 1.0) -> torch.Tensor:
    return amplitude * torch.sin(2 * math.pi * hz * torch.arange(round(seconds * RATE)) / RATE)


@pytest.mark.parametrize(
    ("hz", "db"),
    [
        (31.5, -39.4),
        (63, -26.2),
        (125, -16.1),
        (250, -8.6),
        (500, -3.2),
        (1000, 0.0),
        (2000, 1.2),
        (4000, 1.0),
        (8000, -1.1),
        (16_000, -6.6),
    ],
)
def test_weighting_is_the_standards_table(hz: float, db: float) -> None:
    assert 10 * math.log10(a_weighting(torch.tensor(hz))) == pytest.approx(db, abs=0.15)  # at nominal frequencies


def test_level_of_the_loudest_tenth_of_a_second() -> None:
    """A sine of amplitude 1 has a power of one half: -3 dB."""
    burst = torch.zeros(RATE)
    burst[4000:5600] = tone(1000)[:1600]
    waveforms = torch.stack([tone(1000), tone(1000, 0.1), tone(100), burst, torch.zeros(RATE)])
    expected = [-3.01, -23.01, -3.01 - 19.1, -3.01, -80.0]
    assert loudness_db(waveforms, RATE).tolist() == pytest.approx(expected, abs=0.15)
    assert loudness_db(tone(1000)[None, :800], RATE).tolist() == pytest.approx(
        [-3.01], abs=0.15
    )  # shorter than the window


def test_shares_are_of_what_is_heard() -> None:
    """Tones at the same level are mixed by their shares; a louder one is turned down to them. Energy is kept."""
    partners, share = torch.tensor([1, 0, 3, 2]), torch.tensor([0.7, 1.0, 0.6, 0.6])
    waveforms = torch.stack([tone(1000), tone(500, 10 ** (3.2 / 20)), tone(1000, 1e-2), tone(2000, 10 ** (-1.2 / 20))])
    mixed = mix_by_loudness(waveforms, partners, share, RATE)
    torch.testing.assert_close(
        mixed[0], (0.7 * waveforms[0] + 0.3 * waveforms[1]) / math.hypot(0.7, 0.3), atol=5e-3, rtol=0
    )
    assert torch.equal(mixed[1], waveforms[1])
    for row, partner in ((2, 3), (3, 2)):
        amplitudes = [
            abs(float((mixed[row] * waveforms[k]).mean() / waveforms[k].square().mean())) for k in (row, partner)
        ]  # amplitude of each in the mix
        levels = [
            20 * math.log10(amplitude) + float(loudness_db(waveforms[k : k + 1], RATE))
            for amplitude, k in zip(amplitudes, (row, partner), strict=True)
        ]
        assert levels[0] - levels[1] == pytest.approx(20 * math.log10(0.6 / 0.4), abs=0.05)
        weight = amplitudes[0] / (amplitudes[0] + amplitudes[1])
        assert amplitudes[0] == pytest.approx(weight / math.hypot(weight, 1 - weight), abs=1e-3)


def test_silence_is_mixed_without_harm() -> None:
    waveforms = torch.stack([torch.zeros(RATE), tone(500), torch.zeros(RATE)])
    assert mix_by_loudness(waveforms, torch.tensor([1, 2, 0]), torch.tensor([0.5, 0.9, 0.8]), RATE).isfinite().all()


def test_factors_are_twentieths_on_both_sides() -> None:
    factors = draw_factors(np.random.default_rng(0), 2000, 0.5)
    assert sorted(set(factors.tolist())) == list(range(10, 31))
    assert set(draw_factors(np.random.default_rng(0), 100, 0.05).tolist()) == {19, 20, 21}


@pytest.mark.parametrize("speed", [10, 13, 20, 23, 30])
def test_a_faster_tone_is_higher_and_shorter(speed: int) -> None:
    waveform = tone(400, seconds=2)[None]
    changed = change_speed(waveform, rows_by_factor(np.array([speed])))
    length = min(2 * RATE, 2 * RATE * 20 // speed)
    assert changed.shape == waveform.shape
    torch.testing.assert_close(
        changed[0, 200 : length - 200], tone(400 * speed / 20, seconds=2)[200 : length - 200], atol=2e-3, rtol=0
    )
    assert not changed[0, length + 1 :].any()
    if speed == 20:
        assert torch.equal(changed, waveform)


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("factor", [10, 13, 19, 21, 27, 30])
def test_a_shifted_tone_is_higher_and_as_long(factor: int, rate: int) -> None:
    """The loudest frequency moves, the sound begins and ends where it did, as loud as before."""
    time = torch.arange(2 * rate) / rate
    waveform = torch.where((time > 0.5) & (time < 1.5), torch.sin(2 * math.pi * 400 * time), 0.0)
    other = torch.randn(2 * rate, generator=torch.Generator().manual_seed(0))
    shifted = shift_pitch(torch.stack([waveform, other]), rows_by_factor(np.array([factor, 20])), rate)
    assert shifted.shape == (2, 2 * rate)
    assert torch.equal(shifted[1], other)
    spectrum = torch.fft.rfft(shifted[0]).abs()
    assert int(spectrum.argmax()) / 2 == pytest.approx(400 * factor / 20, rel=0.01)
    audible = (shifted[0].view(40, -1).square().mean(1) > 0.1).nonzero().flatten()  # by 50 ms
    assert abs(int(audible[0]) - 10) <= 1
    assert abs(int(audible[-1]) - 29) <= 1
    assert float(shifted[0, int(0.7 * rate) : int(1.3 * rate)].square().mean()) == pytest.approx(0.5, rel=0.1)
    torch.testing.assert_close(shift_pitch(waveform[None], rows_by_factor(np.array([factor])), rate), shifted[:1])


def test_short_or_silent_clips_are_shifted_too() -> None:
    for num_samples in (1, 7, 300, 1000):
        shifted = shift_pitch(torch.zeros(1, num_samples), rows_by_factor(np.array([13])), RATE)
        assert shifted.shape == (1, num_samples)
        assert not shifted.any()


@given(st.integers(10, 30), st.integers(0, 40), st.integers(5, 12))
def test_labels_stay_with_the_sound(speed: int, first: int, length: int) -> None:
    """A burst under its label, before and after."""
    hop = 160
    labels, waveform = torch.zeros(1, 1, 60), torch.zeros(1, 60 * hop)
    labels[..., first : first + length] = 1
    waveform[:, first * hop : (first + length) * hop] = tone(1000)[: length * hop]
    speeds = np.array([speed])
    audible = change_speed(waveform, rows_by_factor(speeds)).view(60, hop).square().mean(1) > 0.25
    labelled = change_label_speed(labels, torch.from_numpy(speeds))[0, 0] > 0
    edges = labelled[1:] != labelled[:-1]
    away = torch.ones(60, dtype=torch.bool)
    away[:-1] &= ~edges
    away[1:] &= ~edges
    if first * 20 / speed < 58:
        assert torch.equal(audible[away], labelled[away])


def test_clips_have_speeds_of_their_own() -> None:
    waveform, labels = torch.randn(3, 4000), torch.rand(3, 2, 25)
    together = change_speed(waveform, rows_by_factor(np.array([15, 20, 27])))
    for row, speed in enumerate((15, 20, 27)):
        alone = change_speed(waveform[row : row + 1], rows_by_factor(np.array([speed])))
        torch.testing.assert_close(together[row], alone[0])
        assert torch.equal(
            change_label_speed(labels, torch.tensor([15, 20, 27]))[row],
            change_label_speed(labels[row : row + 1], torch.tensor([speed]))[0],
        )
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(change_speed(waveform, rows_by_factor(np.array([15, 20, 27]))), together)


def test_loudness_in_mixed_precision() -> None:
    """A loud tone's power is beyond float16."""
    tone = 0.9 * torch.sin(2 * torch.pi * 1000 * torch.arange(44_100) / 44_100)[None].repeat(2, 1)
    with torch.autocast("cpu", torch.float16):
        mixed = mix_by_loudness(tone, torch.tensor([1, 0]), torch.tensor([0.7, 0.6]), 44_100)
    assert torch.isfinite(mixed).all()
