"""Reading by parts equals reading whole; what cannot be read is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from efficient_sed.audio.io import audio_info, read_audio
from efficient_sed.errors import DataError

SECONDS = 5.3


def write_noise(path: Path, rate: int, channels: int, seconds: float = SECONDS) -> np.ndarray:
    samples = (
        np.random.default_rng(rate + channels).normal(scale=0.1, size=(round(rate * seconds), channels)).clip(-0.9, 0.9)
    )
    samples *= (
        np.abs(np.sin(3 * np.arange(len(samples)) / rate))[:, None] ** 8
    )  # loud after quiet: MP3 then borrows bits from earlier frames
    soundfile.write(path, samples, rate)
    return samples


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize(
    ("rate", "channels", "tolerance"), [(16_000, 1, 1e-6), (44_100, 2, 1e-4), (8_000, 2, 1e-4), (48_000, 1, 1e-4)]
)
def test_parts_equal_whole(tmp_path: Path, suffix: str, rate: int, channels: int, tolerance: float) -> None:
    path = tmp_path / f"noise.{suffix}"
    write_noise(path, rate, channels)
    whole = read_audio(path)
    assert len(whole) == round(SECONDS * 16_000)
    for start_s, duration_s in [
        (0, 2),
        (0.04, 2.0),
        (1, 2),
        (1.48, 1),
        (2.52, 1.2),
        (3.2, 1),
        (4, 10),
        (5, 1),
        (5.24, 1),
    ]:  # 5.24 s: inside the last Ogg page
        part = read_audio(path, start_s, duration_s)
        expected = whole[round(start_s * 16_000) : round((start_s + duration_s) * 16_000)]
        assert part.shape == expected.shape
        assert np.abs(part - expected).max() <= tolerance


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_parts_at_16_khz_are_exact(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"noise.{suffix}"
    write_noise(path, 16_000, 1)
    np.testing.assert_array_equal(
        np.concatenate([read_audio(path, start_s, 1) for start_s in range(6)]), read_audio(path)
    )


def test_channels_are_averaged(tmp_path: Path) -> None:
    left_right = write_noise(tmp_path / "stereo.wav", 16_000, 2)
    np.testing.assert_allclose(read_audio(tmp_path / "stereo.wav"), left_right.mean(axis=1), atol=2**-15)


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_resampling_keeps_a_tone(tmp_path: Path, rate: int) -> None:
    soundfile.write(
        tmp_path / "tone.wav", 0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate), rate, subtype="FLOAT"
    )
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(32_000) / 16_000)
    np.testing.assert_allclose(read_audio(tmp_path / "tone.wav")[800:-800], expected[800:-800], atol=5e-3)


def test_header(tmp_path: Path) -> None:
    write_noise(tmp_path / "stereo.flac", 44_100, 2)
    info = audio_info(tmp_path / "stereo.flac")
    assert (info.sample_rate, info.channels) == (44_100, 2)
    assert info.duration_s == pytest.approx(SECONDS, abs=1e-4)


def missing(path: Path) -> None:
    path.unlink(missing_ok=True)


def no_bytes(path: Path) -> None:
    path.write_bytes(b"")


def no_samples(path: Path) -> None:
    soundfile.write(path, np.zeros((0, 1)), 16_000)


def text(path: Path) -> None:
    path.write_text("this is not audio\n")


def not_finite(path: Path) -> None:
    soundfile.write(path, np.array([0.0, np.nan, 0.0]), 16_000, subtype="FLOAT")


def flipped(path: Path) -> None:
    write_noise(path, 16_000, 1)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200] = bytes(byte ^ 0xFF for byte in data[middle : middle + 200])
    path.write_bytes(data)


BAD_FILES: list[tuple[str, Callable[[Path], None], str]] = [
    ("absent.wav", missing, "no such audio file"),
    ("zero.wav", no_bytes, "empty (0 bytes)"),
    ("zero.flac", no_bytes, "empty (0 bytes)"),
    ("silent.wav", no_samples, "no audio at 0 s"),
    ("text.wav", text, "not readable as audio"),
    ("text.raw", text, "not readable as audio"),
    ("nan.wav", not_finite, "not a finite number"),
    ("flipped.flac", flipped, "damaged audio"),
]


@pytest.mark.parametrize(("name", "make", "reason"), BAD_FILES, ids=[row[0] for row in BAD_FILES])
def test_bad_files_are_named(tmp_path: Path, name: str, make: Callable[[Path], None], reason: str) -> None:
    path = tmp_path / name
    make(path)
    with pytest.raises(DataError) as caught:
        read_audio(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("make", "reason"),
    [(missing, "no such audio file"), (no_bytes, "0 bytes"), (no_samples, "0 samples"), (text, "not readable")],
)
def test_bad_headers_are_named(tmp_path: Path, make: Callable[[Path], None], reason: str) -> None:
    path = tmp_path / "bad.wav"
    make(path)
    with pytest.raises(DataError, match=reason) as caught:
        audio_info(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("start_s", [-1.0, SECONDS, 100.0])
def test_start_outside_the_file(tmp_path: Path, start_s: float) -> None:
    write_noise(tmp_path / "noise.wav", 16_000, 1)
    with pytest.raises(DataError, match=r"noise\.wav: no audio at"):
        read_audio(tmp_path / "noise.wav", start_s, 1)


def test_a_rate_that_cannot_be_resampled(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "odd.wav", np.zeros(1000), 44_101)
    with pytest.raises(DataError, match=r"odd\.wav: a sample rate of 44101 Hz cannot be resampled here"):
        read_audio(tmp_path / "odd.wav")
