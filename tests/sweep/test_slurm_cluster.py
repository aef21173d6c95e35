"""SLURM itself, two nodes on this machine, where its daemons are installed and may be started: Debian's slurmctld,
slurmd and munge, as root."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from grid_points import points_without_data

from efficient_sed.sweep.grid import GridPoint
from efficient_sed.sweep.launch import RunStatus, run_grid
from efficient_sed.sweep.launchers import slurm
from efficient_sed.sweep.launchers.slurm import JOB_FILE, SlurmLauncher

DAEMONS = ("munged", "slurmctld", "slurmd", "squeue", "sbatch")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(
        os.getuid() != 0 or not all(map(shutil.which, DAEMONS)),
        reason="starts SLURM: needs root, slurmctld, slurmd and munge",
    ),
]
CONFIGURATION = """ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
SlurmctldPort={controller}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/controller.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
JobRequeue=1
SlurmdTimeout=5
MpiDefault=none
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={first} CPUs=1 RealMemory=100
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={second} CPUs=1 RealMemory=100
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""
FAKE_RUN = """# Counts its starts, tells where it runs, and ends when the file `go` is there.
import os, pathlib, sys, time
seed = next(word[-1] for word in sys.argv if word.startswith("seed="))
with open("starts" + seed, "a") as file:
    file.write(f"{os.getpid()}\\n")
while not os.path.exists("go"):
    time.sleep(0.05)
print("done", flush=True)
os._exit(5)
"""


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder of a running cluster."""
    folder = tmp_path_factory.mktemp("cluster")
    controller, first, second = free_ports(3)
    (folder / "state").mkdir()
    (folder / "munge").mkdir(mode=0o700)
    (folder / "munge" / "key").write_bytes(os.urandom(1024))
    (folder / "munge" / "key").chmod(0o400)
    for parent in folder.parents:  # munge wants everyone to be able to reach its socket
        if os.access(parent, os.W_OK) and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o111)
    folder.chmod(0o755)
    (folder / "munge").chmod(0o711)
    configuration = folder / "slurm.conf"
    configuration.write_text(
        CONFIGURATION.format(
            host=socket.gethostname().split(".")[0], folder=folder, controller=controller, first=first, second=second
        )
    )
    monkeypatch.setenv("SLURM_CONF", str(configuration))
    munge = [f"--{name}-file={folder / 'munge' / name}" for name in ("key", "pid", "log", "seed")]
    subprocess.run(["munged", "--force", *munge, f"--socket={folder / 'munge' / 'socket'}"], check=True)
    subprocess.run(["slurmctld", "-f", str(configuration)], check=True)
    for node in ("n1", "n2"):
        subprocess.run(["slurmd", "-f", str(configuration), "-N", node], check=True)
    wait_until(
        lambda: (
            subprocess.run(
                ["sinfo", "--noheader", "--format=%T %D"], capture_output=True, text=True, check=False
            ).stdout.split()
            == ["idle", "2"]
        )
    )
    yield folder
    subprocess.run(["scancel", "--me"], check=False)
    for path in (*folder.glob("n?.pid"), folder / "controller.pid", folder / "munge" / "pid"):
        if path.is_file():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(path.read_text()), signal.SIGTERM)


@pytest.fixture
def points(fake_runs: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> list[GridPoint]:
    fake_runs(FAKE_RUN)
    monkeypatch.setattr(slurm, "LOOK_S", 1.0)
    monkeypatch.setattr(slurm, "LATE_S", 5.0)
    return points_without_data("backbone=fmn04", "seq=none", "seed=1,2,3", "output_dir=runs")


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def starts(seed: int) -> list[int]:
    """Process numbers of a run, each time that it was started."""
    path = Path(f"starts{seed}")
    return [int(number) for number in path.read_text().split()] if path.is_file() else []


LAUNCHER = SlurmLauncher(gpus=0, cpus=1)


@pytest.mark.usefixtures("cluster")
def test_a_job_array_over_two_nodes(points: list[GridPoint]) -> None:
    most = 0

    def look(_: Sequence[RunStatus]) -> None:
        nonlocal most
        most = max(most, sum(map(len, map(starts, (1, 2, 3)))))
        if most == 2:
            Path("go").touch()

    statuses = run_grid(points, LAUNCHER, look)
    assert [status.message for status in statuses] == ["exit status 5: done"] * 3
    assert [len(starts(seed)) for seed in (1, 2, 3)] == [1, 1, 1]


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def take_away(cluster: Path, run: int) -> None:
    """Kill all of the node that a run is on, its daemons first, so that nobody is left to say that a job ended."""
    family = [run]
    while Path(f"/proc/{family[-1]}/comm").read_text() != "slurmstepd\n":
        family.append(parent(family[-1]))
    environment = Path(f"/proc/{parent(run)}/environ").read_bytes().split(b"\0")
    node = next(
        item.removeprefix(b"SLURMD_NODENAME=").decode() for item in environment if item.startswith(b"SLURMD_NODENAME=")
    )
    for process in (int((cluster / f"{node}.pid").read_text()), *reversed(family)):
        os.kill(process, signal.SIGKILL)


def test_a_node_that_vanishes_costs_its_run_only(cluster: Path, points: list[GridPoint]) -> None:
    """Its run starts again on the other node, as soon as there is room."""
    lost: list[int] = []

    def look(_: Sequence[RunStatus]) -> None:
        if not lost and starts(1) and starts(2):
            lost.append(starts(1)[0])
            take_away(cluster, lost[0])
            Path("go").touch()

    statuses = run_grid(points, LAUNCHER, look)
    assert [status.message for status in statuses] == ["exit status 5: done"] * 3
    assert [len(starts(seed)) for seed in (1, 2, 3)] == [2, 1, 1]


@pytest.mark.usefixtures("cluster")
def test_jobs_of_a_killed_sweep_are_followed(points: list[GridPoint]) -> None:
    for point in points:
        point.folder.mkdir(parents=True)
        (point.folder / "run.log").touch()
    if (sweep := os.fork()) == 0:
        for _ in LAUNCHER.run(points):
            pass
        os._exit(1)
    wait_until(lambda: bool(starts(1) and starts(2)))
    os.kill(sweep, signal.SIGKILL)
    os.waitpid(sweep, 0)
    numbers = [(point.folder / JOB_FILE).read_text() for point in points]

    def look(_: Sequence[RunStatus]) -> None:
        Path("go").touch()

    statuses = run_grid(points, LAUNCHER, look)
    assert [status.message for status in statuses] == ["exit status 5: done"] * 3
    assert [(point.folder / JOB_FILE).read_text() for point in points] == numbers
    assert [len(starts(seed)) for seed in (1, 2, 3)] == [1, 1, 1]
