"""What every launcher owes a grid: the same states, logs and skipping, one lost run at most, and nothing left
behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from adding import added
from grid_points import points_without_data

from efficient_sed.cli.main import main
from efficient_sed.errors import ConfigError, MissingDependencyError
from efficient_sed.registry import LAUNCHERS
from efficient_sed.sweep.grid import GridPoint
from efficient_sed.sweep.launch import RunStatus, State, run_grid
from efficient_sed.sweep.launcher import Launcher, create_launcher
from efficient_sed.sweep.launchers import slurm
from efficient_sed.sweep.launchers.local import DEVICES_KEY, LocalLauncher, visible_gpus
from efficient_sed.sweep.launchers.ray import RayLauncher
from efficient_sed.sweep.launchers.slurm import SlurmLauncher, follow_jobs

FAKE_RUN = """# Seed 0 fails. The others wait for the file `go`, save on SIGTERM, and say what they resume from.
import os, pathlib, signal, sys, threading, time
seed = next(word[-1] for word in sys.argv if word.startswith("seed="))
if seed == "0":
    sys.exit("efficient-sed: no luck")
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
pid, saved = pathlib.Path("pid" + seed), pathlib.Path("saved" + seed)
print("resuming from", saved.name, flush=True) if saved.exists() else None
signal.signal(signal.SIGTERM, lambda *_: (saved.touch(), os._exit(143)))
pid.write_text(f"{os.getpid()} {os.getppid()}")
while not os.path.exists("go"):
    time.sleep(0.05)
task, gpu = os.environ.get("SLURM_PROCID", "none"), os.environ.get("CUDA_VISIBLE_DEVICES") or "none"
print("task", task, "gpu", gpu, flush=True)
os._exit(5)
"""


@pytest.fixture
def points(fake_runs: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> list[GridPoint]:
    """Three points whose runs are a script, in a directory of their own."""
    fake_runs(FAKE_RUN)
    monkeypatch.setenv("SLURM_PROCID", "7")  # as if the sweep were typed inside a job
    return points_without_data("backbone=fmn04", "seq=none", "seed=0,1,2", "output_dir=runs")


@dataclass(frozen=True)
class LocalSlurm(SlurmLauncher):
    """submitit's own stand-in for a cluster: the same job files, pickles and signals in processes of this machine."""

    def run(self, points: Sequence[GridPoint]) -> Generator[list[tuple[GridPoint, str]]]:
        yield from follow_jobs(self.executor(Path("runs/slurm/%j"), "local"), points)


def available(name: str) -> Launcher:
    if name == "local":
        return LocalLauncher(jobs=3)
    pytest.importorskip(
        {"slurm": "submitit", "ray": "ray"}[name], reason=f"not installed; pip install 'efficient-sed[{name}]'"
    )
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


def process_of(seed: int) -> tuple[int, int] | None:
    """Process numbers of a fake run and of what started it, once it is there."""
    path = Path(f"pid{seed}")
    own, parent = (path.read_text().split() or (0, 0)) if path.is_file() else (0, 0)
    return (int(own), int(parent)) if own else None


@pytest.mark.filterwarnings("default")  # what other packages warn of
@pytest.mark.parametrize("name", LAUNCHERS.names())
def test_states_logs_and_endings(name: str, points: list[GridPoint]) -> None:
    launcher = available(name)
    seen: list[list[State]] = []

    def look(statuses: Sequence[RunStatus]) -> None:
        seen.append([status.state for status in statuses])
        if seen[-1] == [State.FAILED, State.RUNNING, State.RUNNING]:
            Path("go").touch()

    statuses = run_grid(points, launcher, look)
    assert [status.message for status in statuses] == [
        "exit status 1: efficient-sed: no luck",
        *["exit status 5: task none gpu none"] * 2,
    ]
    assert [State.FAILED, State.RUNNING, State.RUNNING] in seen
    assert all((point.folder / "run.log").read_text().startswith("--- ") for point in points)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", LAUNCHERS.names())
def test_an_interrupt_stops_every_run(name: str, points: list[GridPoint]) -> None:
    launcher = available(name)
    runs: list[tuple[int, int]] = []

    def interrupt(_: Sequence[RunStatus]) -> None:
        there = [found for seed in (1, 2) if (found := process_of(seed))]
        if len(there) == 2:
            runs.extend(there)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_grid(points, launcher, interrupt)
    assert len(runs) == 2
    wait_until(lambda: not any(alive(own) for own, _ in runs))


class Disturbance:
    """Sends a signal once to what started the run of seed 1, and lets both runs go on when that one has begun again, or
    is gone."""

    def __init__(self, number: signal.Signals, *, begins_again: bool) -> None:
        self.number, self.begins_again = number, begins_again
        self.first: tuple[int, int] | None = None
        self.deadline = time.monotonic() + 60

    def __call__(self, statuses: Sequence[RunStatus]) -> None:
        assert time.monotonic() < self.deadline
        found = process_of(1)
        if self.first is None and found is not None and process_of(2) is not None:
            self.first = found
            for process in (
                found if self.begins_again and self.number == signal.SIGUSR2 else found[1:]
            ):  # SLURM may signal a whole job
                os.kill(process, self.number)
        elif self.first is not None and (
            found != self.first if self.begins_again else statuses[1].state is State.FAILED
        ):
            Path("go").touch()


@pytest.mark.filterwarnings("default")
def test_slurm_queues_a_preempted_run_again(points: list[GridPoint]) -> None:
    """What SLURM sends before it takes a job away reaches the run, which saves itself and goes on from there."""
    statuses = run_grid(points, available("slurm"), Disturbance(signal.SIGUSR2, begins_again=True))
    assert [status.message for status in statuses[1:]] == ["exit status 5: task none gpu none"] * 2
    preempted, other = ((point.folder / "run.log").read_text() for point in points[1:])
    assert "resuming from saved1" in preempted
    assert (preempted.count("--- "), other.count("--- ")) == (2, 1)
    assert len([path for path in Path("runs/slurm").glob("*/*_log.out") if "Requeued" in path.read_text()]) == 1


@pytest.mark.filterwarnings("default")
def test_slurm_loses_a_job(points: list[GridPoint]) -> None:
    statuses = run_grid(points, available("slurm"), Disturbance(signal.SIGKILL, begins_again=False))
    assert statuses[1].message.startswith("job ")
    assert "was lost (" in statuses[1].message
    assert statuses[2].message == "exit status 5: task none gpu none"


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("retries", [0, 1])
def test_ray_loses_a_worker(points: list[GridPoint], retries: int) -> None:
    available("ray")
    statuses = run_grid(
        points, RayLauncher(cpus=1, retries=retries), Disturbance(signal.SIGKILL, begins_again=retries > 0)
    )
    assert statuses[2].message == "exit status 5: task none gpu none"
    assert (points[1].folder / "run.log").read_text().count("--- ") == 1 + retries
    assert statuses[1].message.startswith("exit status 5: " if retries else "WorkerCrashedError: ")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_ray_loses_a_node(points: list[GridPoint]) -> None:
    """A cluster of a head that runs nothing and two workers, one of which is taken away: its run starts again on the
    other, nobody else's does."""
    available("ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes = [cluster.add_node(num_cpus=2) for _ in range(2)]
    lost: list[tuple[int, int]] = []

    def look(_: Sequence[RunStatus]) -> None:
        first = process_of(1)
        if not lost and first and process_of(2):
            lost.append(first)
            family = [first[1]]
            while Path(f"/proc/{family[-1]}/comm").read_text() != "raylet\n":
                family.append(int(Path(f"/proc/{family[-1]}/stat").read_text().rpartition(")")[2].split()[1]))
            (node,) = (
                node for node in nodes if any(info.process.pid == family[-1] for info in node.all_processes["raylet"])
            )
            cluster.remove_node(node, allow_graceful=False)
            Path("go").touch()

    try:
        statuses = run_grid(points, RayLauncher(address=cluster.address, cpus=2, retries=2), look)
    finally:
        cluster.shutdown()
    assert [status.message for status in statuses[1:]] == ["exit status 5: task none gpu none"] * 2
    assert [(point.folder / "run.log").read_text().count("--- ") for point in points[1:]] == [2, 1]


def test_slurm_is_asked_for_what_was_typed(
    points: list[GridPoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sbatch is a script that keeps what it is given and accepts the first array, then refuses."""
    pytest.importorskip("submitit", reason="not installed; pip install 'efficient-sed[slurm]'")
    commands = tmp_path / "bin"
    commands.mkdir()
    scripts = {
        "sbatch": 'if [ -f kept ]; then echo "sbatch: error: invalid partition specified: gpu" >&2; exit 1; fi; '
        'cp "$1" kept; echo Submitted batch job 12',
        "squeue": "exit 0",
        "sacct": 'printf "JobID|State|NodeList\\n12_[0-2]|FAILED|\\n"',
        "srun": "exit 1",
        "scancel": 'echo "$@" >> cancelled',
    }
    for name, script in scripts.items():
        (commands / name).write_text(f"#!/bin/sh\n{script}\n")
        (commands / name).chmod(0o755)
    words = [
        "launcher.partition=gpu",
        "launcher.account=me",
        "launcher.gpus=2",
        "launcher.cpus=6",
        "launcher.memory_gb=20",
        "launcher.hours=1.5",
        "launcher.jobs=2",
    ]
    launcher, rest = create_launcher("slurm", [*words, "seed=0"])
    assert rest == ["seed=0"]
    monkeypatch.setattr(slurm, "LATE_S", 0.0)
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("PATH", "")
        with pytest.raises(
            ConfigError,
            match=r"^--launcher slurm: there is no srun here; type it on a machine of the cluster that submits jobs$",
        ):
            run_grid(points, launcher, lambda _: None)
    monkeypatch.setenv("PATH", str(commands), prepend=":")
    statuses = run_grid(points, launcher, lambda _: None)
    assert [status.message for status in statuses] == [
        f"job 12_{index} was lost (FAILED): no output" for index in range(3)
    ]
    options = dict(
        line.removeprefix("#SBATCH --").partition("=")[::2]
        for line in Path("kept").read_text().splitlines()
        if line.startswith("#SBATCH")
    )
    wanted = {
        "partition": "gpu",
        "account": "me",
        "gpus-per-node": "2",
        "cpus-per-task": "6",
        "mem": "20GB",
        "time": "90",
        "array": "0-2%2",
        "requeue": "",
    }
    assert {key: options.get(key) for key in wanted} == wanted
    assert options["signal"].strip("'") == f"USR2@{slurm.WARNING_S}"
    with pytest.raises(
        ConfigError, match=r"^--launcher slurm: sbatch refused: sbatch: error: invalid partition specified: gpu$"
    ):
        run_grid(points, launcher, lambda _: None)
    assert not Path("cancelled").exists()


def test_local_runs_get_a_gpu_each(points: list[GridPoint], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert visible_gpus() == ["0", "1"]
    monkeypatch.setenv(DEVICES_KEY, "4,GPU-7")
    assert visible_gpus() == ["4", "GPU-7"]
    Path("go").touch()
    statuses = run_grid(points, LocalLauncher(jobs=3), lambda _: None)
    assert [status.message.split()[-1] for status in statuses[1:]] == ["GPU-7", "4"]
    statuses = run_grid(points, LocalLauncher(), lambda _: None)
    assert [status.message.split()[-1] for status in statuses[1:]] == ["4,GPU-7"] * 2


@pytest.mark.parametrize(
    ("name", "word", "message"),
    [
        ("slrm", "seed=0", "unknown launcher 'slrm'; did you mean 'slurm'? allowed: local, ray, slurm"),
        ("local", "launcher.jobs=0", "launcher.jobs=0 is not allowed: 1 or more"),
        ("local", "launcher.hours=1", "unknown key launcher.hours=1; allowed: jobs"),
        ("slurm", "launcher.gpu=1", "unknown key launcher.gpu=1; did you mean 'gpus'?"),
        ("slurm", "launcher.gpus=-1", "launcher.gpus=-1 is not allowed: 0 or more"),
        ("slurm", "launcher.cpus=0", "launcher.cpus=0 is not allowed: 1 or more"),
        ("slurm", "launcher.jobs=0", "launcher.jobs=0 is not allowed: 1 or more"),
        ("slurm", "launcher.memory_gb=0", "launcher.memory_gb=0.0 is not allowed: above 0"),
        ("slurm", "launcher.hours=0", "launcher.hours=0.0 is not allowed: 0.1 or more"),
        ("slurm", "launcher.hours=1,2", "launcher.hours=1,2: a sweep takes one value here"),
        ("slurm", "launcher.restarts=-1", "launcher.restarts=-1 is not allowed: 0 or more"),
        ("ray", "launcher.gpus=1.5", "launcher.gpus=1.5 is not allowed: a share from 0 to 1, or a whole number"),
        ("ray", "launcher.cpus=two", "launcher.cpus='two' must be a whole number"),
        ("ray", "launcher.retries=-1", "launcher.retries=-1 is not allowed: 0 or more"),
    ],
)
def test_what_a_launcher_refuses(name: str, word: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        create_launcher(name, [word])
    assert str(caught.value).startswith(message)


OWN_LAUNCHER = """
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar
from efficient_sed.registry import LAUNCHERS

@LAUNCHERS.register("pretend")
@dataclass(frozen=True)
class PretendLauncher:
    package: ClassVar[str | None] = None
    word: str = "nothing done"
    def run(self, points):
        yield [(point, f"{self.word} with seed {point.config.seed}") for point in points]
"""


def test_a_launcher_is_one_file(points: list[GridPoint], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with added(LAUNCHERS, tmp_path / "own", "pretend", OWN_LAUNCHER):
        launcher, rest = create_launcher("pretend", ["launcher.word=refused", "seed=0"])
        assert rest == ["seed=0"]
        statuses = run_grid(points, launcher, lambda _: None)
        assert [status.message.split(":")[0] for status in statuses] == [f"refused with seed {i}" for i in range(3)]
        with pytest.raises(SystemExit):
            main(["sweep", "--help"])
        assert "carried out: local, pretend, ray, slurm;" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(ConfigError, match=r"^unknown launcher 'pretend'; allowed: local, ray, slurm$"):
        create_launcher("pretend", [])


@pytest.mark.parametrize(("name", "package"), [("slurm", "submitit"), ("ray", "ray")])
def test_a_package_that_is_missing(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(
        MissingDependencyError,
        match=rf"^--launcher {name} needs the package {package}: pip install 'efficient-sed\[{name}\]'$",
    ):
        create_launcher(name, [])


@pytest.mark.filterwarnings("default")
def test_no_ray_cluster_answers(points: list[GridPoint]) -> None:
    pytest.importorskip("ray", reason="not installed; pip install 'efficient-sed[ray]'")
    with pytest.raises(ConfigError, match=r"^launcher\.address=127\.0\.0\.1:1: no Ray cluster answers \(.*refused\)$"):
        run_grid(points, RayLauncher(address="127.0.0.1:1"), lambda _: None)
