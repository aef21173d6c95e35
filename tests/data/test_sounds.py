"""Generated sounds: finite, audible, of the length that is asked for, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from efficient_sed.audio.grid import SAMPLE_RATE
from efficient_sed.data.sounds import SOUND_CLASSES


def spectrum_centre_hz(samples: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(samples)) ** 2
    return float((np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE) * power).sum() / power.sum())


@pytest.mark.parametrize("label", sorted(SOUND_CLASSES))
def test_every_class(label: str) -> None:
    sound = SOUND_CLASSES[label]
    assert 0 < sound.min_s <= sound.max_s
    for seconds in (sound.min_s, sound.max_s):
        num_samples = round(seconds * SAMPLE_RATE)
        made = [sound.synthesise(np.random.default_rng(seed), num_samples) for seed in (0, 0, 1)]
        assert made[0].shape == (num_samples,)
        assert np.isfinite(made[0]).all()
        assert np.abs(made[0]).max() > 0.1
        assert np.array_equal(made[0], made[1])
        assert not np.array_equal(made[0], made[2])


def test_classes_are_told_apart_by_what_they_say() -> None:
    def centre(label: str, part: slice = slice(None)) -> float:
        samples = SOUND_CLASSES[label].synthesise(np.random.default_rng(0), 3 * SAMPLE_RATE)
        return spectrum_centre_hz(samples[part])

    assert centre("rumble") < 500
    assert centre("hiss") > 2000
    begin, end = slice(0, SAMPLE_RATE // 2), slice(5 * SAMPLE_RATE // 2, None)
    for kind in ("sweep", "chime"):
        assert centre(f"{kind}_rising", begin) < centre(f"{kind}_rising", end)
        assert centre(f"{kind}_falling", begin) > centre(f"{kind}_falling", end)
