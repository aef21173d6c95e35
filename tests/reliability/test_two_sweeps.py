"""The same command twice at once in one place."""

from __future__ import annotations

import pytest
from reliability.two_sweeps import PAIRS, main


@pytest.mark.slow
def test_two_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--kind", "pseudo-label,data pack", "--count", "1", "--seed", "1"]) == 0
    assert "| data pack | 1 |" in capfd.readouterr().out


@pytest.mark.long
def test_every_pair(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--count", "1", "--seed", "2"]) == 0
    out = capfd.readouterr().out
    assert all(f"| {kind} | 1 |" in out for kind in PAIRS)
