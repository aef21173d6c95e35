"""Grids of real runs, each in a process of its own, that fail, are killed and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from grid_points import points_without_data
from result_files import make_result

from efficient_sed.benchmark.speed import unmeasured
from efficient_sed.cli.main import main
from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.errors import DataError, LostProcessError
from efficient_sed.sweep import run_process
from efficient_sed.sweep.grid import GridPoint, expand_grid
from efficient_sed.sweep.launch import RunStatus, State, run_grid
from efficient_sed.sweep.launchers.local import LocalLauncher


def two_points(output: Path) -> list[GridPoint]:
    return points_without_data("backbone=fmn04", "seq=none", "seed=0,1", f"output_dir={output}")


def fake_python(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(run_process, "TRAIN_COMMAND", (str(path), *run_process.TRAIN_COMMAND[1:]))


def test_what_a_lost_process_said_itself_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_python(
        tmp_path,
        monkeypatch,
        f'echo "efficient-sed: a.wav: damaged audio"; echo "efficient-sed: {LostProcessError.WORDS}"; exit 2',
    )
    statuses = run_grid(two_points(tmp_path / "runs"), LocalLauncher(), lambda _: None)
    assert {status.message for status in statuses} == {"exit status 2: efficient-sed: a.wav: damaged audio"}


def test_each_point_fails_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_python(
        tmp_path, monkeypatch, 'echo "$@"; case "$*" in *seed=0*) echo "no luck" >&2; echo; exit 3;; esac; kill -9 $$'
    )
    seen: list[list[State]] = []
    statuses = run_grid(
        two_points(tmp_path / "runs"), LocalLauncher(), lambda s: seen.append([status.state for status in s])
    )
    killed = "killed by SIGKILL, perhaps for lack of memory; the last line of its log"
    assert [(status.state, status.message) for status in statuses] == [
        (State.FAILED, "exit status 3: no luck"),
        (
            State.FAILED,
            f"{killed}: -m efficient_sed train --quiet --exit-with-parent backbone=fmn04 seq=none seed=1 "
            f"output_dir={tmp_path}/runs",
        ),
    ]
    assert [State.RUNNING, State.WAITING] in seen
    assert [State.FAILED, State.RUNNING] in seen
    assert seen[-1] == [State.FAILED, State.FAILED]


def test_an_interrupt_ends_the_run_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_python(tmp_path, monkeypatch, f"echo $$ > {tmp_path}/pid; exec sleep 600")

    def interrupt(_: Sequence[RunStatus]) -> None:
        if (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_grid(two_points(tmp_path / "runs"), LocalLauncher(), interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        DataError, match=r"^output_dir=.*file/runs: cannot be written \(.*\); give a writable folder as output_dir=DIR$"
    ):
        run_grid(two_points(tmp_path / "file" / "runs"), LocalLauncher(), lambda _: None)


@pytest.mark.slow
def test_failed_killed_and_started_again(
    tiny_config: SyntheticConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second of two points first finds its folder blocked, then dies in training because its sweep is killed, then
    finishes."""
    overrides = [
        f"data.root={tiny_config.root}",
        "seed=0,1",
        "data.num_train=8",
        "data.num_validation=4",
        "data.num_test=4",
        "data.scene_seconds=3",
        "data.clip_seconds=3",
    ]
    overrides += [
        "data.num_workers=0",
        "train.epochs=6",
        "train.batch_size=4",
        "train.accelerator=cpu",
        "benchmark.repeats=3",
        "benchmark.seconds=1",
        "benchmark.batches=[1]",
    ]
    overrides += ["backbone=fmn04", "seq=none", f"output_dir={tmp_path}/runs"]
    command = ["sweep", *overrides, "--plot", str(tmp_path / "frontier.png")]
    first, second = (point.folder for point in expand_grid(overrides))

    (second / "config.yaml").mkdir(parents=True)
    assert main(command) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("efficient-sed: ")]
    assert line.startswith(
        f"efficient-sed: {second} failed: exit status 2: efficient-sed: output_dir={tmp_path}/runs: cannot be "
        f"written (Is a directory)"
    )
    assert (tmp_path / "frontier.csv").is_file()
    assert not (second / "result.json").exists()
    finished_at = (first / "result.json").stat().st_mtime_ns

    (second / "config.yaml").rmdir()
    sweep = subprocess.Popen(
        [sys.executable, "-m", "efficient_sed", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    while not (second / "last.ckpt").is_file() and sweep.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    sweep.kill()  # its run notices
    assert sweep.wait() == -signal.SIGKILL
    assert (second / "last.ckpt").is_file()
    assert not (second / "result.json").exists()

    assert main(command) == 0
    assert (first / "result.json").stat().st_mtime_ns == finished_at
    assert (second / "result.json").is_file()
    assert "resuming from" in (second / "run.log").read_text()
    assert "finished before, score" in capsys.readouterr().err


def test_a_run_without_a_speed_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs no training; what becomes of that changes nothing of its score."""
    first, second = points = two_points(tmp_path / "runs")
    for point, speed in ((first, {}), (second, unmeasured("out of memory"))):
        result = make_result()
        (point.folder).mkdir(parents=True)
        (point.folder / "result.json").write_text(json.dumps(result | {"complexity": result["complexity"] | speed}))
    fake_python(tmp_path, monkeypatch, f'echo "$@" >> {tmp_path}/started; exit 1')
    statuses = run_grid(points, LocalLauncher(), lambda _: None)
    assert [(status.state, status.score, status.was_there) for status in statuses] == [
        (State.FINISHED, 0.4, True),
        (State.FINISHED, 0.4, False),
    ]
    (started,) = (tmp_path / "started").read_text().splitlines()
    assert "seed=1" in started
