"""The spectrogram to look at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from efficient_sed.audio.display import BANDS, LEVELS, MARKED_HZ, MAX_COLUMNS, draw_mel, mel_position

RATE = 16_000


@pytest.mark.parametrize("hertz", [250, 1000, 4000])
def test_a_tone_is_bright_where_its_frequency_is_marked(hertz: int) -> None:
    tone = np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE).astype(np.float32)
    tone[: RATE // 2] = 0
    picture = draw_mel([tone], RATE)
    assert (picture.levels.shape, picture.column_s) == ((BANDS, 100), 0.01)
    assert not picture.levels[:, :48].any()
    brightest = picture.levels[:, 60:].mean(axis=1).argmax()
    assert (brightest + 1) / (BANDS + 1) == pytest.approx(mel_position(hertz), abs=1 / BANDS)
    assert picture.levels.max() == LEVELS - 1


@given(st.integers(1, 9000), st.lists(st.integers(0, 9000), max_size=5))
def test_blocks_make_the_picture_of_the_whole(num_samples: int, cuts: list[int]) -> None:
    samples = np.random.default_rng(0).normal(size=num_samples).astype(np.float32)
    whole = draw_mel([samples], num_samples)
    assert whole.levels.shape == (BANDS, -(-num_samples // 160))
    pieces = draw_mel(np.split(samples, sorted(min(cut, num_samples) for cut in cuts)), num_samples)
    assert np.abs(whole.levels.astype(int) - pieces.levels).max() <= 1  # sums in another order


def test_a_long_recording_has_no_more_columns_than_a_short_one() -> None:
    block = np.random.default_rng(0).normal(size=10 * RATE).astype(np.float32)
    picture = draw_mel([block] * 13, 130 * RATE)
    assert picture.levels.shape[1] <= MAX_COLUMNS
    assert picture.levels.shape[1] * picture.column_s == pytest.approx(130, abs=picture.column_s)


def test_silence_is_black() -> None:
    assert not draw_mel([np.zeros(RATE, dtype=np.float32)], RATE).levels.any()


def test_frequencies_are_marked_in_order() -> None:
    places = [mel_position(hertz) for hertz in MARKED_HZ]
    assert places == sorted(places)
    assert 0 < places[0] < places[-1] < 1
