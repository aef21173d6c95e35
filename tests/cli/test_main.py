"""What all commands share: streams of any encoding, a full disk, Ctrl-C."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command import Run

from efficient_sed.cli.main import main


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_any_name_on_a_stream_of_any_encoding(
    here: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["Straße.wav", "日本.wav"]
    undecodable = os.fsdecode(b"\xff.wav")
    for name in (*names, undecodable):
        shutil.copy(f"{here['d']}/a.wav", name)

    def printed(*words: str) -> str:
        stream = io.BytesIO()
        for which in ("stdout", "stderr"):
            monkeypatch.setattr(
                sys, which, io.TextIOWrapper(stream if which == "stdout" else io.BytesIO(), encoding=encoding)
            )
        assert main(["detect", *words, "--model", here["model"]]) == 0
        sys.stdout.flush()
        return stream.getvalue().decode(encoding)

    for output_format in ("table", "tsv", "rttm", "json"):
        text = printed(*names, "--threshold", "0.01", "--format", output_format)
        assert all(
            word in text for word in (("\\xdf", "\\u65e5") if encoding == "ascii" and output_format != "json" else ())
        ), text
    assert [Path(entry["file"]).name for entry in json.loads(text)] == names
    for output_format in ("audacity", "jams"):
        printed(*names, "--format", output_format, "--output", "out")
        json.loads(printed(names[1], "--format", "jams"))
    assert json.loads(printed(undecodable, "--plot", "a.png", "--format", "json"))


def test_the_backend_of_a_notebook_is_left_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for backend in ("module://matplotlib_inline.backend_inline", "TkAgg", "nonsense", ""):
        monkeypatch.setenv("MPLBACKEND", backend)
        with pytest.raises(SystemExit):
            run("--version")
        assert os.environ["MPLBACKEND"] == "Agg"
    command = [sys.executable, "-m", "efficient_sed", "plot", "--published", "--output", "p.png"]
    environment = os.environ | {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "PYTHONIOENCODING": "ascii"}
    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0


def test_output_on_a_full_disk() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "efficient_sed", "models", "fmn04_synthetic"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (2, "efficient-sed: a file: No space left on device\n")


def test_interrupt(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("efficient_sed.experiment.run.run_experiment", interrupt)
    assert run("train {tiny}") == (
        130,
        "",
        "efficient-sed: interrupted; what is finished is kept, "
        "and a training goes on from its last finished epoch when the same command is typed again\n",
    )
