"""How long a model takes to load."""

from __future__ import annotations

import itertools

import pytest

import efficient_sed as es
from efficient_sed.benchmark import clock, load_time


def test_it_is_loaded_from_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = itertools.count()
    monkeypatch.setattr(clock.time, "process_time", lambda: next(looks))
    model = es.create_model("fmn01", num_classes=2)
    assert load_time.measure_load_ms(model, "cpu") == 1000.0  # one second between two looks at this clock


def test_without_room_for_the_file_it_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(load_time, "save_model", refuse)
    assert load_time.measure_load_ms(es.create_model("fmn01", num_classes=2)) is None
    assert "the time to load is left out: No space left on device" in caplog.text
