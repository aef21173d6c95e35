"""A search ends in its front, trains nothing over budget, and goes on after its process was killed."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from efficient_sed.cli import search
from efficient_sed.cli.main import main
from efficient_sed.errors import DataError
from efficient_sed.search import draw
from efficient_sed.search.costs import Budget, Cost, CostCounter
from efficient_sed.search.space import create_space
from efficient_sed.search.study import open_study
from efficient_sed.sweep import run_process

pytest.importorskip("optuna")


def started() -> list[str]:
    """Signatures of the runs that were trained to their end."""
    return Path("started").read_text(encoding="utf-8").split()


def test_ends_in_its_front_and_goes_on(
    fake_trials: Callable[..., None],
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake_trials()
    assert main([*words, "--max-macs", "25M", "--trials", "3", "launcher.jobs=3"]) == 0
    out, err = capsys.readouterr()
    assert "the front of 3 runs" in out
    assert [int(number) for number in re.findall(r"trial (\d+), fmn01", err)] == [1, 2, 3]
    assert re.search(r"^  efficient-sed train data\.root=\S+ .*backbone=fmn01 train\.lr_head=\S+$", out, re.MULTILINE)
    assert len(set(started())) == 3
    assert {path.name[:5] for path in Path("runs").glob("fmn*")} == {"fmn01"}  # fmn02 has 27 M MACs
    monkeypatch.setattr(search, "report_runs", lambda *_: None)  # drawn once above
    assert main([*words, "--max-macs", "25M", "--trials", "4", "--compare", "runs"]) == 0
    assert re.search(r"dominates 1\d\d % of the area that the 3 runs of runs dominate", capsys.readouterr().out)
    assert len(started()) == len(set(started())) == 4
    assert main([*words, "--max-macs", "25M", "--space", "train.epochs=1,2"]) == 2
    assert re.fullmatch(
        r"efficient-sed: runs/search: holds a study of another space: nothing there, train\.epochs=1,2 here; [^\n]*\n",
        capsys.readouterr().err,
    )


def test_goes_on_after_kill(
    fake_trials: Callable[..., None], words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial that was running is tried again with the same values; no finished one is trained again."""
    fake_trials(before="import os, time\nif os.path.exists('started') and not os.path.exists('go'): time.sleep(600)")
    code = (
        f"from efficient_sed.sweep import run_process; run_process.TRAIN_COMMAND = {run_process.TRAIN_COMMAND!r}; "
        "import sys; from efficient_sed.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, *words, "--trials", "3"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while len(list(Path("runs").glob("fmn*/run.log"))) < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    (killed,) = (
        path.parent for path in Path("runs").glob("fmn*/run.log") if not (path.parent / "result.json").exists()
    )
    Path("go").touch()
    monkeypatch.setattr(search, "report_runs", lambda *_: None)
    assert main([*words, "--trials", "3"]) == 0
    assert len(started()) == len(set(started())) == 3
    assert (killed / "result.json").exists()


def test_failed_trials_count_and_are_told(
    fake_trials: Callable[..., None], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    fake_trials("False")
    assert main([*words, "--trials", "3"]) == 2
    assert "no trial has succeeded so far" in capsys.readouterr().err
    assert len(list(Path("runs").glob("fmn*"))) == 1


def test_what_cannot_be_trained_is_told(
    fake_trials: Callable[..., None],
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Values that do not go together are drawn again; where nothing is left, the search ends, and says so."""
    fake_trials()
    monkeypatch.setattr(draw, "MAX_DRAWS", 30)
    monkeypatch.setattr(search, "report_runs", lambda *_: None)
    fixed = [word for word in words[1:] if word != "seq=none" and not word.startswith(("backbone=", "train.lr_head"))]
    fixed = [word for word in fixed if word != "--space"]
    typed = ["search", *fixed, "backbone=fmn01", "seq=tf", "train.lr_head=1e-3", "--space", "seq.hidden=30..33"]
    assert main([*typed, "--trials", "9"]) == 0
    err = capsys.readouterr().err
    assert len(started()) == 1  # 32 is the only size that tf takes
    assert re.search(r"no more trials than 1: \d+ draws in a row could not be trained, the last one: .*; --space ", err)


def test_processes_do_not_draw_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that begin at once with one seed, which is what starting two processes is for."""
    begun = threading.Barrier(2, timeout=60)

    class SlowCounter(CostCounter):
        def count(self, overrides: Sequence[str]) -> Cost:
            time.sleep(0.2)
            return Cost(1, 1)

    monkeypatch.setattr(draw, "with_hash", lambda words, _: SimpleNamespace(signature=words[-1], overrides=words))
    space = create_space([], ["backbone=fmn01", "seq=none"])
    signatures: list[str] = []

    def run_one() -> None:
        with open_study(tmp_path, {}, 0) as shared:
            begun.wait()
            found = draw.Drawing(space, Budget(), SlowCounter(1), "").draw(shared, 3)
            signatures.extend(candidate.point.signature for candidate in found)
            begun.wait()

    threads = [threading.Thread(target=run_one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(signatures) == len(set(signatures)) == 6


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (
            ["--max-macs", "1k"],
            "--max-macs 1000: no model of the space meets that; the cheapest, backbone=fmn01, has 13,069,024 MACs",
        ),
        (["--space", "train.lr_haed=1,2"], "unknown key 'train.lr_haed'; did you mean 'train.lr_head'?"),
        (["--space", "data.num_train=1,2"], "a search varies backbone, seq, classifier, train and their keys"),
        (["--space", "train.epochs"], "--space train.epochs: neither key=a,b,c nor key=low..high"),
        (["--space", "train.optimizer=adamw,adamm"], "adamm"),
        (["--space", "train.epochs=9..3"], "the range ends below its start"),
        (["--space", "seq.hidden=32,64"], "no backbone or head of this space has seq.hidden"),
        (["--space", "backbone.hop_ms=10,20"], "backbone.hop_ms is given for all runs, too"),
        (["--compare", "nowhere"], "no finished run below nowhere"),
    ],
)
def test_bad_input(
    fake_trials: Callable[..., None],
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    typed: list[str],
    message: str,
) -> None:
    fake_trials()
    assert main([*words, *typed]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not list(Path().glob("runs/*"))


def test_a_study_without_trials_binds_nobody(tmp_path: Path) -> None:
    for budget in ("--max-macs 1000", "--max-macs 2000"):
        with open_study(tmp_path, {"budget": [budget]}, 0) as shared:
            assert shared.study.user_attrs["identity"] == {"budget": [budget]}
    with open_study(tmp_path, {"budget": [budget]}, 0) as shared:
        shared.ask()
    with pytest.raises(DataError, match="holds a study of another budget"), open_study(tmp_path, {"budget": []}, 0):
        pass


@pytest.mark.parametrize(
    ("tail", "words"),
    [(b"no entry\n", "Expecting value"), (b"5\n", "damaged"), (b'{"op_code"\n', "delimiter")],
)
def test_a_damaged_journal_is_refused_as_it_is(tmp_path: Path, tail: bytes, words: str) -> None:
    with open_study(tmp_path, {}, 0):
        pass
    journal = tmp_path / "search" / "journal.log"
    damaged = journal.read_bytes() + tail
    journal.write_bytes(damaged)
    with pytest.raises(DataError, match=words), open_study(tmp_path, {}, 0):
        pass
    assert journal.read_bytes() == damaged


@pytest.mark.parametrize("tail", [b'{"op_code"', b"{}"])
def test_a_line_that_a_kill_left_cut_is_removed(tmp_path: Path, tail: bytes) -> None:
    with open_study(tmp_path, {}, 0):
        pass
    journal = tmp_path / "search" / "journal.log"
    whole = journal.read_bytes()
    journal.write_bytes(whole + tail)
    with open_study(tmp_path, {}, 0) as shared:
        assert not shared.trials()
    assert journal.read_bytes().startswith(whole)
    assert all(json.loads(line) for line in journal.read_bytes().splitlines())


def test_bad_number(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([*words, "--max-macs", "500Q"])
    assert "argument --max-macs: '500Q' is not a count of 1 or more" in capsys.readouterr().err
