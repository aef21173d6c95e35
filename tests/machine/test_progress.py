"""Progress in the log: counts and rates of what was done here, no more often than asked."""

from __future__ import annotations

import logging

import pytest

from efficient_sed.machine import progress as module
from efficient_sed.machine.progress import clock, progress


def test_the_log_gets_a_line_in_each_interval(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    with caplog.at_level(logging.INFO), progress("clips", 5000, done=1000) as advance:
        for _ in range(3):
            now += 18
            advance(600)
    assert caplog.messages == ["2,200 of 5,000 clips, 33.3 a second, 1 minutes to go"]


def test_a_bar_is_drawn_on_the_error_stream(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("clips", 4, is_drawn=True) as advance:
        advance(4)
    output = capsys.readouterr()
    assert output.out == ""
    assert "clips" in output.err
    assert "100%" in output.err


def test_clock() -> None:
    assert [clock(seconds) for seconds in (0, 59.6, 125)] == ["0:00", "1:00", "2:05"]
