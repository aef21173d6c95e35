"""What every launcher owes a grid: the same states, logs and skipping, one lost run at most, and nothing left behind."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from efficient_sed.errors import ConfigError, MissingDependencyError
from efficient_sed.sweep import launchers, run_process, slurm
from efficient_sed.sweep.grid import GridPoint, expand_grid
from efficient_sed.sweep.launch import RunStatus, State, run_grid
from efficient_sed.sweep.launchers import LAUNCHERS, Launcher, create_launcher
from efficient_sed.sweep.local import DEVICES_KEY, LocalLauncher, visible_gpus
from efficient_sed.sweep.ray_tasks import RayLauncher
from efficient_sed.sweep.slurm import SlurmLauncher, follow_jobs

FAKE_RUN = f"""#!{sys.executable} -S
# Seed 0 fails. The others wait for the file `go`; told to stop, they save; started again, they say from where they go on.
import os, pathlib, signal, sys, threading, time
seed = next(word[-1] for word in sys.argv if word.startswith("seed="))
if seed == "0":
    sys.exit("efficient-sed: no luck")
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
pid, saved = pathlib.Path("pid" + seed), pathlib.Path("saved" + seed)
print("resuming from", saved.name, flush=True) if saved.exists() else None
signal.signal(signal.SIGTERM, lambda *_: (saved.touch(), os._exit(143)))
pid.write_text(str(os.getpid()))
while not os.path.exists("go"):
    time.sleep(0.05)
print("task", os.environ.get("SLURM_PROCID", "none"), "gpu", os.environ.get("CUDA_VISIBLE_DEVICES") or "none", flush=True)
os._exit(5)
"""


@pytest.fixture
def points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[GridPoint]:
    """Three points whose runs are a shell script, in a directory of their own."""
    script = tmp_path / "run"
    script.write_text(FAKE_RUN)
    script.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLURM_PROCID", "7")  # as if the sweep were typed inside a job
    monkeypatch.setattr(run_process, "TRAIN_COMMAND", (str(script),))
    return expand_grid(["backbone=fmn04", "seq=none", "seed=0,1,2", "output_dir=runs"])


@dataclass(frozen=True)
class LocalSlurm(SlurmLauncher):
    """submitit's own stand-in for a cluster: the same job files, pickles and signals in processes of this machine."""

    def run(self, points: Sequence[GridPoint]) -> Generator[list[tuple[GridPoint, str]]]:
        yield from follow_jobs(self.executor(Path("runs/slurm/%j"), "local"), points)


def available(name: str) -> Launcher:
    if name == "local":
        return LocalLauncher(jobs=3)
    pytest.importorskip({"slurm": "submitit", "ray": "ray"}[name], reason=f"not installed; pip install 'efficient-sed[{name}]'")
    return LocalSlurm(gpus=0) if name == "slurm" else RayLauncher(cpus=1)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.filterwarnings("default")  # what other packages warn of
@pytest.mark.parametrize("name", sorted(LAUNCHERS))
def test_states_logs_and_endings(name: str, points: list[GridPoint]) -> None:
    launcher = available(name)
    seen: list[list[State]] = []

    def look(statuses: Sequence[RunStatus]) -> None:
        seen.append([status.state for status in statuses])
        if seen[-1] == [State.FAILED, State.RUNNING, State.RUNNING]:
            Path("go").touch()

    statuses = run_grid(points, launcher, look)
    assert [status.message for status in statuses] == ["exit status 1: efficient-sed: no luck", *["exit status 5: task none gpu none"] * 2]
    assert [State.FAILED, State.RUNNING, State.RUNNING] in seen
    assert all((point.folder / "run.log").read_text().startswith("--- ") for point in points)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", sorted(LAUNCHERS))
def test_an_interrupt_stops_every_run(name: str, points: list[GridPoint]) -> None:
    launcher = available(name)
    pids: list[int] = []

    def interrupt(_: Sequence[RunStatus]) -> None:
        texts = [Path(f"pid{seed}").read_text() if Path(f"pid{seed}").is_file() else "" for seed in (1, 2)]
        if all(texts):
            pids.extend(map(int, texts))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_grid(points, launcher, interrupt)
    assert len(pids) == 2
    wait_until(lambda: not any(map(alive, pids)))
