"""The notebook is one that every program opens, and runs from its first cell to its last, without a kernel."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
from docs_pages import ROOT, shell_lines

from efficient_sed.cli.main import main

PATH = ROOT / "docs" / "tutorials" / "notebook.ipynb"
NOTEBOOK: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
QUICK = {"benchmark": "--seconds 1 --modes eager --batch 1"}
"""What is added to commands, so that they take less time."""


def test_it_is_a_notebook_without_outputs() -> None:
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 5)
    assert NOTEBOOK["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in NOTEBOOK["cells"]]
    assert len(set(ids)) == len(ids) > 10
    for cell in NOTEBOOK["cells"]:
        keys = {"cell_type", "id", "metadata", "source"}
        is_code = cell["cell_type"] == "code"
        assert cell.keys() == (keys | {"execution_count", "outputs"} if is_code else keys)
        assert not is_code or (cell["execution_count"], cell["outputs"]) == (None, [])


@pytest.mark.slow
def test_every_cell_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    namespace: dict[str, Any] = {}
    printed = []
    for cell in NOTEBOOK["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "code":
            if text.startswith("!"):
                type_lines(text)
            else:
                exec(compile(text, cell["id"], "exec"), namespace)
            printed.append(capsys.readouterr().out)
    assert len(namespace["figure"].axes) == 2
    plt.close(namespace["figure"])
    installed, _, classes, events, drawn, scored, scores, benchmarked, exported, events_of_file = printed
    assert (installed, drawn, scored) == ("", "", "")
    assert len(classes.split()) == 16
    assert events == events_of_file
    assert " s  " in events
    assert len(scores.splitlines()) == 4
    assert "fmn10+tf-256" in benchmarked
    assert "detector.onnx" in exported


def type_lines(text: str) -> None:
    """Carry out the commands of a cell; tests install nothing."""
    for line in shell_lines(text):
        typed, _, output = line.removeprefix("!").partition(" > ")
        program, command, *words = shlex.split(typed)
        if program == "pip":
            continue
        assert program == "efficient-sed"
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            assert main([command, *words, *QUICK.get(command, "").split()]) == 0
        if output:
            Path(output).write_text(printed.getvalue(), encoding="utf-8")
        else:
            sys.stdout.write(printed.getvalue())
