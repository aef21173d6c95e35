"""What is typed wrong costs one line and exit status 2."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from bad_input import BAD, USAGE
from command import Run

MISTAKES = [(f"{command} {typed}", words) for command, rows in BAD.items() for typed, words in rows]


@pytest.mark.parametrize(("typed", "words"), MISTAKES, ids=[row[0] for row in MISTAKES])
def test_mistakes(run: Run, here: dict[str, str], typed: str, words: str) -> None:
    status, out, err = run(typed)
    assert (status, out) == (2, "")
    assert err.startswith("efficient-sed: ")
    assert err.count("\n") == 1
    assert words.format(**here) in err


@pytest.mark.parametrize(("typed", "words"), USAGE, ids=[row[0] for row in USAGE])
def test_usage(run: Run, capsys: pytest.CaptureFixture[str], typed: str, words: str) -> None:
    with pytest.raises(SystemExit) as caught:
        run(typed)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert re.fullmatch(r"efficient-sed[^\n]*\n", err)
    assert words in err
    assert out == ""


@pytest.mark.parametrize("typed", ["train seq=tff", "detect {d}/text.wav --model {model}", "plot {d}/damaged"])
def test_mistakes_in_a_process(here: dict[str, str], tmp_path: Path, typed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "efficient_sed", *typed.format(**here).split()],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"efficient-sed: [^\n]+\n", done.stderr), done.stderr
