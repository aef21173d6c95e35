"""Commands on a disk that is full, gets full or lets nothing be written."""

from __future__ import annotations

import pytest
from reliability.full_disk import ALL_JOBS, main, places


def test_both_ends_are_among_the_places() -> None:
    assert places(1, 5) == [1]
    assert places(4, 10) == [1, 2, 3, 4]
    assert places(100, 3) == [1, 51, 100]


@pytest.mark.slow
def test_no_room_for_short_commands(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--kind", "convert,data pack", "--count", "2"]) == 0
    assert "| convert | turns read-only | 2 |" in capfd.readouterr().out


@pytest.mark.long
def test_no_room_for_any(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--count", "3"]) == 0
    out = capfd.readouterr().out
    assert all(f"| {kind} | no room |" in out for kind in ALL_JOBS)
