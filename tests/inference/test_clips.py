"""Clips hold their events, the oldest go first, and a disk that is full ends nothing."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
import soundfile
from live_parts import event

from efficient_sed.inference.live_events import Gap
from efficient_sed.inference.sinks import clips as module
from efficient_sed.inference.sinks.clips import Clips

RATE = 1000


def ramp(begin_s: float, seconds: float) -> np.ndarray:
    """Sound that says when it is: a sample is its second by a hundred."""
    return ((begin_s + np.arange(round(seconds * RATE)) / RATE) / 100).astype(np.float32)


def hear(clips: Clips, begin_s: float, end_s: float) -> None:
    for first in np.arange(begin_s, end_s, 0.1):
        clips.hear(ramp(first, 0.1))


def read(folder: Path) -> dict[str, tuple[float, float]]:
    """First and last second of each clip by its name."""
    found = {}
    for path in sorted(folder.glob("*.flac")):
        samples, rate = soundfile.read(path)
        assert rate == RATE
        np.testing.assert_allclose(np.diff(samples), 1e-5, atol=5e-5)
        found[path.stem] = (100 * samples[0], 100 * samples[-1])
    return found


def test_a_clip_is_its_event_with_a_margin(tmp_path: Path) -> None:
    clips, heard = Clips(tmp_path / "new", RATE, delay_s=3.0, margin_s=0.5), event(onset_s=2.0, offset_s=4.0)
    hear(clips, 0.0, 5.0)
    clips.start(heard)
    clips.end(heard)
    hear(clips, 5.0, 5.2)
    assert read(tmp_path / "new") == {"20260101T000002.000Z_up": pytest.approx((1.5, 4.5), abs=0.02)}


def test_a_clip_waits_for_its_margin_and_does_not_cross_a_gap(tmp_path: Path) -> None:
    clips = Clips(tmp_path, RATE, delay_s=1.0, margin_s=2.0)
    hear(clips, 0.0, 4.0)
    for label in ("up", "down"):
        clips.start(event(label, 1.0, 3.5))
    clips.end(event("up", 1.0, 3.5))
    assert not read(tmp_path)
    clips.end(event("down", 1.0, 3.5))
    clips.lose(Gap(event().start, None, "cable out", "test"))
    hear(clips, 4.0, 9.0)
    late = event("up", 4.5, 6.0)
    clips.start(late)
    clips.end(late)
    hear(clips, 9.0, 9.1)
    assert list(read(tmp_path).values()) == [
        pytest.approx((0, 4), abs=0.02),
        pytest.approx((0, 4), abs=0.02),
        pytest.approx((4, 8), abs=0.02),
    ]


def test_a_clip_of_a_long_event_is_its_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_EVENT_S", 3.0)
    clips, long = Clips(tmp_path, RATE, delay_s=2.0, margin_s=1.0), event(onset_s=20.0, offset_s=50.0)
    hear(clips, 0.0, 21.9)
    clips.start(long)
    hear(clips, 21.9, 50.0)
    clips.end(long)
    assert list(read(tmp_path).values()) == [pytest.approx((19, 24), abs=0.02)]
    assert sum(map(len, clips._sound)) < 9 * RATE


def test_the_oldest_of_its_own_are_removed(tmp_path: Path) -> None:
    others = ["20250101T000000.000Z_up.wav", "mine.flac", "2025_up.flac"]
    for name in [*others, "20250101T000000.000Z_up.flac"]:  # of an earlier call
        (tmp_path / name).write_bytes(bytes(4000))
    clips = Clips(tmp_path, RATE, delay_s=1.0, margin_s=0.0, keep_bytes=20_000)
    rng = np.random.default_rng(0)
    for second in range(0, 40, 2):
        clips.hear(rng.uniform(-1, 1, 2000).astype(np.float32))  # 4 kB
        heard = event(onset_s=second, offset_s=second + 1.9)
        clips.start(heard)
        clips.end(heard)
    clips.close()
    assert all((tmp_path / name).exists() for name in others)
    own = sorted(path.name for path in tmp_path.iterdir() if path.name not in others)
    assert own == [f"20260101T0000{second:02d}.000Z_up.flac" for second in range(40 - 2 * len(own), 40, 2)]
    assert 10_000 < sum((tmp_path / name).stat().st_size for name in own) <= 20_000


def test_the_newest_clip_stays_however_little_may_be_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clips = Clips(tmp_path, RATE, delay_s=1.0, margin_s=0.0, keep_bytes=10)
    for second in range(3):
        hear(clips, second, second + 1)
        clips.start(event(onset_s=second, offset_s=second + 0.5))
        clips.end(event(onset_s=second, offset_s=second + 0.5))
    clips.close()
    assert list(read(tmp_path)) == ["20260101T000002.000Z_up"]
    assert len(caplog.messages) == 1
    assert "bytes, more than --keep-gb 1e-08 allows; the newest clip alone is kept" in caplog.messages[0]


def test_a_full_disk_costs_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(path: Path, _: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    clips = Clips(tmp_path, RATE, delay_s=1.0, margin_s=0.0, keep_bytes=1e6)
    write = module.write_atomically
    monkeypatch.setattr(module, "write_atomically", refuse)
    for second in range(4):
        hear(clips, second, second + 1)
        clips.start(event(onset_s=second, offset_s=second + 0.5))
        clips.end(event(onset_s=second, offset_s=second + 0.5))
        if second == 2:
            assert caplog.messages == [
                f"{tmp_path}: cannot be written (No space left on device); listening goes on, "
                "clips are left out until it can"
            ]
            monkeypatch.setattr(module, "write_atomically", write)
    clips.close()
    assert caplog.messages[1:] == [f"{tmp_path}: clips are written again; 2 are missing"]
    assert len(read(tmp_path)) == 2


def test_a_folder_that_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    clips = Clips(tmp_path / "file", RATE, delay_s=1.0)
    hear(clips, 0.0, 3.0)
    clips.start(event())
    clips.end(event())
    clips.close()
    assert "listening goes on" in caplog.messages[0]
    assert caplog.messages[1] == f"{tmp_path / 'file'}: could not be written; 1 are missing"
