"""What is refused of recordings before they are decoded."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from efficient_sed.audio.encoded import (
    MAX_VALUES,
    MIN_RATE,
    EncodedAudio,
    check_rate,
    check_values,
    count_bytes,
    open_bytes,
    parse_channel,
    warn_once,
)
from efficient_sed.errors import ConfigError, DataError


@pytest.mark.parametrize(("value", "channel"), [(None, None), ("mix", None), ("first", 1), ("2", 2), (3, 3)])
def test_channels(value: str | int | None, channel: int | None) -> None:
    assert parse_channel(value) == channel


@pytest.mark.parametrize("value", ["0", 0, -1, "left", "", True, "²", "1.0"])
def test_what_is_no_channel(value: str | int) -> None:
    with pytest.raises(
        ConfigError, match=r"is not allowed: mix \(the mean of all channels\), first, or a number from 1$"
    ):
        parse_channel(value, "data.channel")


def test_files_and_files_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"1234")
    for recording in (path, str(path), EncodedAudio("a", b"1234")):
        assert count_bytes(recording) == 4
        with open_bytes(recording) as file:
            assert file.read() == b"1234"


def test_what_is_no_file(tmp_path: Path) -> None:
    for path, reason in [
        (tmp_path / "none.wav", "no such audio file"),
        (tmp_path, "a folder, and no audio file"),
        (EncodedAudio("a", b""), r"the audio file is empty \(0 bytes\)"),
    ]:
        with pytest.raises(DataError, match=rf"{reason}$"):
            count_bytes(path)


def test_limits() -> None:
    check_rate("a", MIN_RATE)
    check_values("a", MAX_VALUES // 2, 2, 44_100)
    with pytest.raises(DataError, match=r"^a: a sample rate of 999 Hz is not allowed"):
        check_rate("a", MIN_RATE - 1)
    with pytest.raises(DataError, match=r"^a: 101 minutes of 2 channels are too much .*cut the file into pieces$"):
        check_values("a", MAX_VALUES // 2 + 1, 2, 44_100)


def test_a_warning_comes_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        warn_once("a.wav: this test's warning")
        warn_once("a.wav: this test's warning")
    assert caplog.messages == ["a.wav: this test's warning"]
