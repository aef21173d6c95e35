"""Runs as the tasks of a SLURM job array, through submitit. All nodes must see the same files under the same paths."""

from __future__ import annotations

import contextlib
import logging
import math
import signal
import subprocess
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from efficient_sed.errors import EXIT_TERMINATED, ConfigError, require
from efficient_sed.files.atomic import write_atomically
from efficient_sed.registry import LAUNCHERS
from efficient_sed.sweep.run_process import POLL_S, RunProcess, exit_words, wait_for

if TYPE_CHECKING:
    from efficient_sed.sweep.grid import GridPoint

logger = logging.getLogger(__name__)
JOB_FOLDER = "slurm"
JOB_FILE = "slurm_job"  # in a run's folder: the number of its job
LOOK_S = 10.0  # between looks at SLURM's queue
LATE_S = 60.0  # that a result may be late
WARNING_S = 120  # from the signal to the end of a job
SAVING_S = 60  # of them a run may take to finish its step and save


@LAUNCHERS.register("slurm")
@dataclass(frozen=True)
class SlurmLauncher:
    """A job array. SLURM queues a run again that is preempted, loses its node or is out of time; the run resumes."""

    package: ClassVar[str | None] = "submitit"

    partition: str | None = None
    """Where to run; none: the cluster's default."""
    account: str | None = None
    gpus: int = 1
    """For each run; with several, give train.devices too."""
    cpus: int = 4
    """For each run: one that computes, and data.num_workers that decode."""
    memory_gb: float | None = None
    """For each run; none: the cluster's default."""
    hours: float = 8.0
    """Until a run is stopped and queued again."""
    restarts: int = 10
    """How often that may happen to one run; being preempted does not count."""
    jobs: int = 16
    """Runs at a time."""

    def __post_init__(self) -> None:
        require(self.gpus >= 0, "launcher.gpus", self.gpus, "0 or more")
        for name in ("cpus", "jobs"):
            require(getattr(self, name) >= 1, f"launcher.{name}", getattr(self, name), "1 or more")
        require(self.memory_gb is None or self.memory_gb > 0, "launcher.memory_gb", self.memory_gb, "above 0")
        require(self.hours >= 0.1, "launcher.hours", self.hours, "0.1 or more")
        require(self.restarts >= 0, "launcher.restarts", self.restarts, "0 or more")

    def run(self, points: Sequence[GridPoint]) -> Generator[list[tuple[GridPoint, str]]]:
        """Carry out the runs; see `sweep.launcher.Launcher`."""
        if points:
            yield from follow_jobs(
                self.executor(Path(points[0].config.output_dir) / JOB_FOLDER / "%j"), points, Queue()
            )

    def executor(self, folder: Path, cluster: str = "slurm") -> Any:
        """What submits jobs.

        Args:
            folder: Where each job keeps its log and state; %j stands for its number.
            cluster: submitit's name for the kind of cluster.

        Raises:
            ConfigError: If there is no SLURM here.
        """
        import submitit

        try:
            executor = submitit.AutoExecutor(folder, cluster, slurm_max_num_timeout=self.restarts)
        except RuntimeError as error:
            raise ConfigError(
                "--launcher slurm: there is no srun here; type it on a machine of the cluster that submits jobs"
            ) from error
        executor.update_parameters(
            name="efficient-sed",
            timeout_min=round(60 * self.hours),
            gpus_per_node=self.gpus,
            cpus_per_task=self.cpus,
            tasks_per_node=1,
            stderr_to_stdout=True,
            mem_gb=self.memory_gb,
            slurm_partition=self.partition,
            slurm_account=self.account,
            slurm_array_parallelism=self.jobs,
            slurm_signal_delay_s=WARNING_S,
            slurm_additional_parameters={"requeue": True},  # where the cluster does not do so by itself
        )
        return executor


class SlurmTask:
    """A run inside its job."""

    def __init__(self, run: RunProcess) -> None:
        self.run = run
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """The exit status of the run."""
        # inherited by the run, which must not be ended by it: some clusters send the signal to all processes of a job
        before = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        self._process = self.run.start()
        signal.signal(signal.SIGUSR2, before)
        status = wait_for(self._process)
        if status == EXIT_TERMINATED:  # the job must not look finished before SLURM queues it again
            time.sleep(WARNING_S)
        return status

    def checkpoint(self) -> Any:
        """Let the run save itself, and return what to queue; submitit calls it when time is up or at a preemption."""
        import submitit

        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(SAVING_S)
        return submitit.helpers.DelayedSubmission(SlurmTask(self.run))


class Queue:
    """What SLURM still has to do for this user. submitit asks its accounting, which not every cluster keeps."""

    def __init__(self) -> None:
        self._looked_at = -math.inf
        self._jobs: frozenset[str] | None = None

    def jobs(self) -> frozenset[str]:
        """Numbers of the jobs that wait or run.

        Raises:
            ConfigError: If SLURM gives no answer.
        """
        done = subprocess.run(
            ["squeue", "--me", "--array", "--noheader", "--format=%i"], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise ConfigError(
                f"--launcher slurm: squeue gives no answer "
                f"({(done.stderr.strip().splitlines() or ['no reason'])[-1]}); type the same command again when it does"
            )
        return frozenset(done.stdout.split())

    def __contains__(self, job_id: str) -> bool:
        """Whether a job waits or runs; True while SLURM gives no answer, so that no run is given up for that."""
        if time.monotonic() - self._looked_at > LOOK_S:
            self._looked_at = time.monotonic()
            try:
                self._jobs = self.jobs()
            except ConfigError as error:
                logger.warning("%s", error)
                self._jobs = None
        return self._jobs is None or job_id in self._jobs


def follow_jobs(
    executor: Any, points: Sequence[GridPoint], queue: Queue | None = None
) -> Generator[list[tuple[GridPoint, str]]]:
    """Submit one array of points, but for those whose job of an earlier sweep still exists, and follow all of them.

    Args:
        executor: What submits jobs.
        points: The runs.
        queue: Of the cluster; default None, where there is no SLURM.

    Yields:
        The points whose run has ended since, each with how it ended.
    """
    running = [*_left_behind(executor, points, queue)] if queue is not None else []
    followed = {point.signature for point, _ in running}
    running += _submit(executor, [point for point in points if point.signature not in followed])
    missing: dict[str, float] = {}
    try:
        while running:
            ended = [
                (point, job)
                for point, job in running
                if (job.done() if queue is None else _is_over(job, queue, missing))
            ]
            running = [(point, job) for point, job in running if (point, job) not in ended]
            yield [(point, how_it_ended(job)) for point, job in ended]
            time.sleep(POLL_S)
    finally:
        for _, job in running:
            job.cancel(check=False)


def _is_over(job: Any, queue: Queue, missing: dict[str, float]) -> bool:
    """Whether a job has left its result, or is in no queue any more: a network file system may show the result late."""
    if job.job_id in queue:
        missing.pop(job.job_id, None)
    return job.paths.result_pickle.exists() or (
        job.job_id not in queue and time.monotonic() - missing.setdefault(job.job_id, time.monotonic()) > LATE_S
    )


def _submit(executor: Any, points: Sequence[GridPoint]) -> list[tuple[GridPoint, Any]]:
    import submitit

    if not points:
        return []
    try:
        jobs = executor.submit_array([SlurmTask(RunProcess.of(point)) for point in points])
    except submitit.core.utils.FailedJobError as error:
        raise ConfigError(f"--launcher slurm: sbatch refused: {str(error).strip().splitlines()[-1]}") from error
    for point, job in zip(points, jobs, strict=True):
        write_atomically(point.folder / JOB_FILE, job.job_id.encode())
    return list(zip(points, jobs, strict=True))


def _left_behind(executor: Any, points: Sequence[GridPoint], queue: Queue) -> Iterator[tuple[GridPoint, Any]]:
    """Points whose job still waits or runs."""
    import submitit

    there = queue.jobs()
    for point in points:
        path = point.folder / JOB_FILE
        if path.is_file() and (number := path.read_text(encoding="utf-8")) in there:
            logger.info("%s: job %s is still there, and is followed", point.folder.name, number)
            yield point, submitit.SlurmJob(executor.folder, number)


def how_it_ended(job: Any) -> str:
    """The exit status of a job's run, or what became of a job that could not tell."""
    if not job.paths.result_pickle.exists():
        return f"job {job.job_id} was lost ({job.state})"
    error = job.exception()
    return exit_words(job.result()) if error is None else f"job {job.job_id}: {str(error).strip().splitlines()[-1]}"
