"""Sources that break off, hang, vanish, or never were."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from live_parts import needs_ffmpeg

from efficient_sed.errors import ConfigError, DataError, MissingDependencyError
from efficient_sed.inference.sources import contract
from efficient_sed.inference.sources.contract import SourceLostError
from efficient_sed.inference.sources.ffmpeg import FfmpegSource
from efficient_sed.inference.sources.microphone import MicrophoneSource
from efficient_sed.inference.sources.recording import RecordingSource

RATE = 16_000
RAW = f"-f s16le -ar {RATE} -ac 1"


def never() -> bool:
    return False


def noise(seconds: float, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, (round(seconds * RATE), channels))


def join(chunks: Iterator[np.ndarray]) -> np.ndarray:
    return np.concatenate(list(chunks))


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "two channels.wav", noise(12.34, 2), RATE, "FLOAT")
    return tmp_path / "two channels.wav"


@pytest.mark.parametrize("channel", [None, 2])
def test_a_recording_comes_whole(recording: Path, channel: int | None) -> None:
    samples, _ = soundfile.read(recording)
    expected = samples.mean(1) if channel is None else samples[:, channel - 1]
    np.testing.assert_allclose(join(RecordingSource(recording, RATE, channel).chunks(never)), expected, atol=1e-6)


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_a_recording_at_another_rate(recording: Path, rate: int) -> None:
    assert len(join(RecordingSource(recording, rate, None).chunks(never))) == pytest.approx(12.34 * rate, abs=1)


@needs_ffmpeg
@pytest.mark.parametrize("channel", [None, 2])
def test_a_file_by_ffmpeg_ends(recording: Path, channel: int | None) -> None:
    samples, _ = soundfile.read(recording)
    expected = samples.mean(1) if channel is None else samples[:, channel - 1]
    source = FfmpegSource(str(recording), RATE, channel)
    assert not source.is_reopened
    np.testing.assert_allclose(join(source.chunks(never)), expected, atol=1e-4)


@needs_ffmpeg
def test_a_file_that_ffmpeg_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(DataError, match=r"text\.wav: ffmpeg cannot read it \(.*Invalid data") as caught:
        list(FfmpegSource(str(tmp_path / "text.wav"), RATE, None).chunks(never))
    assert not isinstance(caught.value, SourceLostError)


@needs_ffmpeg
def test_an_input_that_never_worked_is_an_error() -> None:
    source = FfmpegSource("no_such_filter", RATE, None, "-f lavfi")
    with pytest.raises(DataError, match=r"no_such_filter: ffmpeg cannot read it \(") as caught:
        list(source.chunks(never))
    assert not isinstance(caught.value, SourceLostError)


@needs_ffmpeg
def test_an_input_that_worked_once_is_opened_again() -> None:
    source = FfmpegSource("sine=duration=0.3", RATE, None, "-f lavfi")
    for _ in range(2):
        with pytest.raises(SourceLostError, match="it ended"):
            list(source.chunks(never))


class Camera(threading.Thread):
    """Gives some sound on a TCP port, and then closes the connection or hangs."""

    def __init__(self, samples: np.ndarray, hangs: bool) -> None:
        super().__init__(daemon=True)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self._samples, self._hangs, self.is_over = samples, hangs, threading.Event()

    def run(self) -> None:
        connection, _ = self._server.accept()
        connection.sendall(self._samples.tobytes())
        if self._hangs:
            self.is_over.wait(20)
        connection.close()
        self._server.close()


@needs_ffmpeg
@pytest.mark.parametrize(("hangs", "reason"), [(False, "it ended"), (True, "no sound for 0.7 s")])
def test_a_camera_that_breaks_off(hangs: bool, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that it gave comes; ffmpeg does not outlive it."""
    monkeypatch.setattr(contract, "SILENT_S", 0.7)
    samples = np.rint(32767 * noise(1.23)[:, 0]).astype("<i2")
    camera = Camera(samples, hangs)
    camera.start()
    source, chunks = FfmpegSource(camera.url, RATE, None, RAW), []
    assert source.is_reopened
    threads = threading.active_count()
    with pytest.raises(SourceLostError, match=reason):
        chunks.extend(source.chunks(never))
    camera.is_over.set()
    heard = np.concatenate([np.zeros(0), *chunks])
    np.testing.assert_array_equal(heard, samples[: len(heard)] / np.float32(32768))
    assert hangs or len(heard) == len(samples)
    camera.join()
    assert threading.active_count() < threads


@needs_ffmpeg
def test_a_camera_that_is_away_is_named_without_its_password() -> None:
    source = FfmpegSource("rtsp://me:hidden@127.0.0.1:9/stream", RATE, None)
    assert source.name == "rtsp://me@127.0.0.1:9/stream"
    with pytest.raises(SourceLostError, match="Connection refused") as caught:
        list(source.chunks(never))
    assert "hidden" not in str(caught.value)


@needs_ffmpeg
def test_a_source_that_waits_ends_with_listening() -> None:
    camera = Camera(np.zeros(0, "<i2"), hangs=True)
    camera.start()
    begun = time.monotonic()
    assert list(FfmpegSource(camera.url, RATE, None, RAW).chunks(lambda: time.monotonic() > begun + 0.3)) == []
    camera.is_over.set()


@pytest.mark.parametrize(
    ("url", "options", "words"),
    [
        ("rtsp://", None, "rtsp:// is no address, such as rtsp://HOST:PORT/PATH"),
        ("rtsp://:554/a", None, "rtsp://:554/a is no address"),
        ("rtsp://me:hidden@host:port/a", None, "host:port/a is no address (Port could not be cast"),
        ("rtsp://[::1/a", None, "is no address (Invalid IPv6 URL)"),
        ("rtsp://host/a", "-f 's16le", "--ffmpeg -f 's16le is not allowed: options of ffmpeg (No closing quotation)"),
    ],
)
def test_addresses_that_are_none(url: str, options: str | None, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: name)
    with pytest.raises(ConfigError) as caught:
        FfmpegSource(url, RATE, None, options)
    assert words in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_without_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(ConfigError, match="rtsp://host/a: is read by the program ffmpeg, which is not installed"):
        FfmpegSource("rtsp://host/a", RATE, None)


class Sounddevice:
    """Stands for the package: a microphone that gives blocks, and then nothing, or cannot be opened."""

    class PortAudioError(Exception):
        pass

    def __init__(self, *blocks: int) -> None:
        self._blocks, self.num_initialised = list(blocks), 0

    def _terminate(self) -> None:
        pass

    def _initialize(self) -> None:
        self.num_initialised += 1

    def InputStream(self, rate: int, size: int, **options: Any) -> Any:  # noqa: N802 (its name)
        import contextlib

        num = self._blocks.pop(0)
        if num == 0:
            raise self.PortAudioError("Device unavailable")

        @contextlib.contextmanager
        def stream() -> Iterator[None]:
            for index in range(num):
                status = SimpleNamespace(input_overflow=index == 1)
                options["callback"](np.full((size, 1), 0.1, np.float32), size, None, status)
            yield

        return stream()


def test_a_microphone_that_vanishes(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    device = Sounddevice(3, 0, 2)
    monkeypatch.setitem(sys.modules, "sounddevice", device)  # type: ignore[arg-type]
    monkeypatch.setattr(contract, "SILENT_S", 0.1)
    source, heard = MicrophoneSource(RATE), []
    assert source.is_reopened
    for reason in ("no sound for", "Device unavailable", "no sound for"):
        with pytest.raises(SourceLostError, match=reason):
            heard.extend(source.chunks(never))
    assert len(heard) == 5
    assert device.num_initialised == 2
    assert "a little sound was lost" in caplog.messages[0]


def test_a_microphone_that_is_faster_than_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", Sounddevice(301))  # type: ignore[arg-type]
    with pytest.raises(SourceLostError, match="the machine is too slow: 30 s of sound wait to be scored"):
        list(MicrophoneSource(RATE).chunks(never))


def test_a_microphone_that_never_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", Sounddevice(0))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="the microphone cannot be read at 16000 Hz") as caught:
        list(MicrophoneSource(RATE).chunks(never))
    assert not isinstance(caught.value, SourceLostError)
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingDependencyError, match="--microphone needs the package sounddevice"):
        MicrophoneSource(RATE)
