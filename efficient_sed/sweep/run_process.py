"""One run as a process: the same command in the same folder with the same log, whichever machine starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from efficient_sed.sweep.grid import GridPoint  # needs torch; a node that only starts the process does without

TRAIN_COMMAND = (sys.executable, "-m", "efficient_sed", "train", "--quiet", "--exit-with-parent")
LOG_FILE = "run.log"
POLL_S = 0.5
START_MARK = "--- "
CLUSTER_PREFIX = "SLURM_"


@dataclass(frozen=True)
class RunProcess:
    """What to run and where; made where a sweep was typed, started there or on any machine that sees the same files."""

    command: tuple[str, ...]
    folder: Path
    """The run's own, from the root of the file system."""
    directory: Path = field(default_factory=Path.cwd)
    """Where the sweep was typed; relative paths of the configuration start there."""

    @classmethod
    def of(cls, point: GridPoint) -> RunProcess:
        """The run of a point of a grid."""
        return cls((*TRAIN_COMMAND, *point.overrides), point.folder.absolute())

    def start(self, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """The process, which ends with the one that started it; `environment` is added to what there is.

        It does not inherit the cluster's variables: Lightning would take itself for a task and requeue the job.
        """
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(CLUSTER_PREFIX)}
        with (self.folder / LOG_FILE).open("a", encoding="utf-8") as log:
            log.write(f"{START_MARK}{datetime.now(UTC).isoformat(timespec='seconds')} start\n")
            log.flush()
            return subprocess.Popen(
                self.command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.PIPE,
                cwd=self.directory,
                env={**inherited, **(environment or {})},
            )


def carry_out(run: RunProcess) -> int:
    """Start a run, wait for it, and return its exit status."""
    return wait_for(run.start())


def exit_words(status: int) -> str:
    """An exit status in words, to stand before the last line of the log (which is no reason if a run was killed)."""
    if status >= 0:
        return f"exit status {status}"
    name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
    perhaps = ", perhaps for lack of memory" if -status == signal.SIGKILL else ""
    return f"killed by {name}{perhaps}; the last line of its log"


def wait_for(process: subprocess.Popen[bytes]) -> int:
    """The exit status. It looks instead of waiting, so that the handler of a signal can look, too."""
    with process:
        while (status := process.poll()) is None:
            time.sleep(POLL_S)
    return status
