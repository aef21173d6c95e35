"""Memory does not grow with the length of the sound; minutes here, a day by benchmarks/reliability/long_audio.py."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from reliability.long_audio import Course, RawSound, detect_long, minutes, stream_long

from efficient_sed.audio.grid import SAMPLE_RATE, FrameGrid
from efficient_sed.cli.main import main

SOUND_S = 900.0


class LoudDetector:
    """Hears nothing but loudness, fast; `keeps` what it was given if it leaks."""

    classes = ["loud"]  # noqa: RUF012  # as models have it
    grid = FrameGrid()
    clip_seconds = 10.0
    median_frames = 5

    def __init__(self, *, leaks: bool = False) -> None:
        self.leaks, self.kept = leaks, list[np.ndarray]()

    def score_frames(self, waveform: np.ndarray) -> np.ndarray:
        if self.leaks:
            self.kept.append(np.repeat(waveform, 4))
        num_frames = self.grid.num_frames(waveform.shape[1])
        power = np.square(waveform[:, : num_frames * 640].reshape(len(waveform), -1, 640)).mean(axis=2)
        return np.pad(np.minimum(1, 100 * power), ((0, 0), (0, num_frames - power.shape[1])))[:, :, None].astype(
            np.float32
        )


def measure(way: str, leaks: bool, folder: Path) -> Course:
    detector = LoudDetector(leaks=leaks)
    return detect_long(detector, folder, 0, SOUND_S) if way == "detect" else stream_long(detector, 4.0, 0, SOUND_S)


@pytest.mark.parametrize(
    ("way", "leaks"),
    [
        ("detect", False),
        ("stream", True),
        pytest.param("detect", True, marks=pytest.mark.long),
        pytest.param("stream", False, marks=pytest.mark.long),
    ],
)
@pytest.mark.slow
def test_a_quarter_of_an_hour(tmp_path: Path, way: str, leaks: bool) -> None:
    """The check can fail: a leak of one window each time is found. In a new process, as freed memory would hide it."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as own:
        course = own.submit(measure, way, leaks, tmp_path).result()
    assert course.num_events > 25
    assert course.hours[-1] == pytest.approx(0.25, abs=0.005)
    assert course.is_flat() != leaks


def test_both_ways_hear_the_same_sound() -> None:
    raw, content = RawSound(3, 130.0), b""
    while block := raw.read1(100_000):
        content += block
    np.testing.assert_array_equal(np.frombuffer(content, "<i2"), np.concatenate(list(minutes(3, 130.0))))
    assert len(content) == 2 * 130 * SAMPLE_RATE


def test_a_report_on_a_long_file_is_refused_before_it_is_heard(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A page holds its sound; an hour is the limit."""
    import soundfile

    with soundfile.SoundFile(
        tmp_path / "long.flac", "w", 8000, 1, "PCM_16", format="FLAC", compression_level=0.0
    ) as file:
        for _ in range(61):
            file.write(np.zeros(60 * 8000, dtype=np.int16))
    assert main(["detect", str(tmp_path / "long.flac"), "--report", str(tmp_path / "page.html")]) == 2
    assert (
        "a report holds 60 minutes of sound, and the recording has 61.0; cut it, or take --format npz for its scores"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "page.html").exists()
