"""What tests of launchers share: runs that train nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from efficient_sed.sweep import run_process


@pytest.fixture
def fake_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes every run of a sweep the given Python script, which starts fast, in a directory of the test's own."""

    def install(text: str) -> None:
        script = tmp_path / "run"
        script.write_text(f"#!{sys.executable} -S\n{text}")
        script.chmod(0o755)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(run_process, "TRAIN_COMMAND", (str(script),))

    return install
