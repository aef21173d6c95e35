"""Files are whole or not there, and nothing is left of those that were being written when their process was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from efficient_sed.files.atomic import opened_atomically, write_atomically

KILLED = """
import os, sys
from pathlib import Path
from efficient_sed.files.atomic import opened_atomically
with opened_atomically(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), 9)
"""
WAITING = """
import os, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from efficient_sed.machine.processes import end_with_parent
if __name__ == "__main__":
    pool = ProcessPoolExecutor(2, get_context("{method}"), end_with_parent)
    waiting = [pool.submit(time.sleep, 0.2) for _ in range(2)]
    [future.result() for future in waiting]
    print(*pool._processes, flush=True)
    time.sleep(60)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_writer_left_goes_with_the_next(tmp_path: Path) -> None:
    path = tmp_path / "a[1].bin"
    path.write_bytes(b"old")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert path.read_bytes() == b"old"
    assert len(names(tmp_path)) == 2
    (tmp_path / ".a[1].bin.template").touch()
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == [".a[1].bin.template", "a[1].bin"]


def test_what_another_writes_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    with opened_atomically(path) as file:
        file.write(b"first")
        write_atomically(path, b"second")
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_end_with_a_killed_parent(tmp_path: Path, method: str) -> None:
    script = tmp_path / "waiting.py"
    script.write_text(WAITING.format(method=method))
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout is not None
        workers = [int(word) for word in parent.stdout.readline().split()]
        parent.kill()
    assert len(workers) == 2
    deadline = time.monotonic() + 30
    while any(is_running(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    """Not so if it is gone, or dead and nobody has asked for its status yet."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
