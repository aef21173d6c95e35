"""Commands that are killed at random moments and typed again."""

from __future__ import annotations

import pytest
from reliability.kills import SHARES, main


@pytest.mark.slow
def test_killed_and_typed_again(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--kind", "pseudo-label,data pack,convert,download", "--count", "5", "--seed", "1"]) == 0
    assert "| convert | 1 |" in capfd.readouterr().out


@pytest.mark.long
def test_every_kind_killed(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--count", "40", "--seed", "2"]) == 0
    out = capfd.readouterr().out
    assert all(f"| {kind} |" in out for kind in SHARES)
