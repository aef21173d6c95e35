"""Commands in forked processes: each starts in milliseconds, runs `efficient_sed.cli.main.main` and can be killed."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, NoReturn

import torch

from efficient_sed.cli.main import main
from efficient_sed.sweep import run_process

PR_SET_CHILD_SUBREAPER = 36
CRASHED = 70  # exit status of a command that raised
_WRITING_EVENTS = {"os.rename", "os.remove", "os.mkdir", "os.truncate"}


class Process:
    """A forked command with its group of processes.

    Args:
        arguments: What is typed behind `efficient-sed`.
        log: Gets what it prints.
        before: Called in the new process before the command.
    """

    def __init__(self, arguments: Sequence[str], log: Path, before: Callable[[], None] = lambda: None) -> None:
        adopt_orphans()
        self.pid = fork()
        if self.pid == 0:
            os.setsid()
            become(
                arguments, os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), before
            )
        self._watched = os.pidfd_open(self.pid)

    def has_ended(self, within_s: float) -> bool:
        """Wait for its end, for no longer than that."""
        return bool(select.select([self._watched], [], [], within_s)[0])

    def wait(self, within_s: float = 600.0) -> int:
        """The exit status, once all that it started has ended too.

        Raises:
            TimeoutError: If it hangs; it is killed then.
        """
        if not self.has_ended(within_s):
            self.kill()
            raise TimeoutError(f"no end within {within_s:g} s")
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self._watched)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-self.pid, 0)
        return status

    def kill(self, *, is_alone: bool = False) -> None:
        """SIGKILL to its whole group, or to the first process alone."""
        try:
            (os.kill if is_alone else os.killpg)(self.pid, signal.SIGKILL)
        except ProcessLookupError:  # it has not begun its group yet, nor anything in it
            os.kill(self.pid, signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of what a killed process leaves running, so that its end can be waited for."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def fork() -> int:
    """`os.fork`, without advice on threads and with nothing in buffers that both processes would write."""
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def become(arguments: Sequence[str], stdin: int, output: int, before: Callable[[], None]) -> NoReturn:
    """Turn this process into a command that reads and writes there, and end with its status."""
    status = CRASHED
    try:
        for target, source in ((0, stdin), (1, output), (2, output)):
            os.dup2(source, target)
        sys.stdin, sys.stdout, sys.stderr = (
            os.fdopen(number, mode, closefd=False) for number, mode in ((0, "r"), (1, "w"), (2, "w"))
        )
        torch.set_num_threads(1)
        warnings.resetwarnings()
        warnings.simplefilter("ignore")
        before()
        status = main(arguments)
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


class ForkedRun:
    """Replaces the `subprocess.Popen` of a sweep's run: the same command in a process forked from the sweep."""

    def __init__(
        self, command: Sequence[str], *, stdout: IO[str], stderr: int, stdin: int, cwd: Path, env: Mapping[str, str]
    ) -> None:
        reading, writing = os.pipe()
        self.returncode: int | None = None
        self.pid = fork()
        if self.pid == 0:
            os.close(writing)
            os.chdir(cwd)
            os.environ.update(env)
            become(command[command.index("efficient_sed") + 1 :], reading, stdout.fileno(), lambda: None)
        os.close(reading)
        self._stdin = writing

    def __enter__(self) -> ForkedRun:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._stdin)

    def poll(self) -> int | None:
        """Exit status; None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def terminate(self) -> None:
        """Send SIGTERM."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)


def fork_runs() -> None:
    """Have the sweep of this process fork its runs."""
    vars(run_process)["subprocess"] = SimpleNamespace(Popen=ForkedRun, PIPE=subprocess.PIPE, STDOUT=subprocess.STDOUT)


class WriteCounter:
    """Counts the writes, renamings, removals and creations below a folder in the process that calls `watch`.

    The process that created it reads the count.

    Args:
        folder: What lies elsewhere does not count.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = os.path.realpath(folder), multiprocessing.RawValue("i")

    @property
    def count(self) -> int:
        """How many there were so far."""
        return int(self._count.value)

    def watch(self, on_write: Callable[[int], None] = lambda _: None, *, may_remove: bool = False) -> None:
        """Count from now on, and call `on_write` with each number before the write; `may_remove` exempts removals."""

        def hook(event: str, values: tuple[Any, ...]) -> None:
            if event == "os.remove" and may_remove:
                return
            is_writing = event in _WRITING_EVENTS or (
                event == "open" and isinstance(values[2], int) and values[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            )
            if (
                is_writing
                and isinstance(values[0], str | os.PathLike)
                and os.path.realpath(values[0]).startswith(self._folder)
            ):
                self._count.value += 1
                on_write(self._count.value)

        sys.addaudithook(hook)


def kill_own_group(after_s: float) -> None:
    """SIGKILL to the group of this process, at once or while it goes on."""

    def kill() -> None:
        time.sleep(after_s)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    if after_s:
        threading.Thread(target=kill, daemon=True).start()
    else:
        kill()
