"""Commands on a disk that is full, becomes full, or becomes read-only, at each of their writes.

cd benchmarks && python -m reliability.full_disk [--count 12] [--seed 0] [--kind train,export,…]

Each command runs on a small disk (a tmpfs of many sizes; needs root), without space (every creation and renaming fails
from the n-th on), on a file system that becomes read-only (removals fail, too), and on one that is read-only from the
start; at up to COUNT places spread over all its writes. It must end with one clear line and status 2 (a sweep, which
counts failed runs: 1 or 2), leave no half-written file at a final name, lose nothing that was finished, and do all its
work when it is run again with space.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from reliability.count import counting
from reliability.jobs import JOBS, Job, Material
from reliability.kills import HUNG_S, Reference, difference, last_words, run_whole, start
from reliability.processes import WriteCounter
from reliability.short_jobs import SHORT_JOBS
from reliability.whole import broken_files

ALL_JOBS: dict[str, Callable[[Material], Job]] = {**JOBS, **SHORT_JOBS}
DISK_BYTES = 1 << 26
PAGE_BYTES = 4096
REFUSED, FAILED_RUNS = 2, 1
MANY_LINES = ("sweep", "detect scores")  # one for each run or recording


@dataclass
class Outcome:
    """What happened to the jobs of one kind in one way."""

    num_tried: int = 0
    num_refused: int = 0
    """Ended with the status and the line that they should; the others did all their work."""
    problems: list[str] = field(default_factory=list)


class Disk:
    """A small tmpfs.

    Args:
        path: An empty folder.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._filler = path, path / ".filler"

    def leave(self, num_bytes: int | None) -> None:
        """Fill it but for so many bytes; none: empty it."""
        self._filler.unlink(missing_ok=True)
        free = shutil.disk_usage(self.path).free
        if num_bytes is not None and free > num_bytes:
            with self._filler.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, free - num_bytes)

    def turn(self, how: str) -> None:
        """Make it "ro" or "rw"."""
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.path)], check=True)


@contextmanager
def small_disk(path: Path) -> Iterator[Disk | None]:
    """A disk, until the block ends; none where this user may not mount one."""
    path.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(path)], check=False, capture_output=True
    ).returncode:
        yield None
        return
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def places(last: int, count: int) -> list[int]:
    """Up to `count` whole numbers from 1 to `last`, evenly spread, both ends among them."""
    return sorted({1 + round(index * (last - 1) / max(1, count - 1)) for index in range(count)})


def fail_from(number: int, reason: int, counter: WriteCounter) -> None:
    """Let every write of this process from a given one on fail; if only space is missing, removals still work."""

    def refuse(count: int) -> None:
        if count >= number:
            raise OSError(reason, os.strerror(reason))

    counter.watch(refuse, may_remove=reason == errno.ENOSPC)


def try_once(
    job: Job,
    folder: Path,
    log: Path,
    reference: Reference,
    outcome: Outcome,
    how: str,
    hook: Callable[[], None],
    mend: Callable[[], None],
) -> None:
    """Run the job where it must fail, `mend` that, and run it again; what is wrong goes into the outcome."""
    outcome.num_tried += 1

    def wrong(what: str) -> None:
        outcome.problems.append(f"{job.name}, {how}: {what}")

    before = job.finished(folder)
    try:
        status = start(job, folder, hook, log).wait(HUNG_S)
    except TimeoutError as error:
        return wrong(f"hangs ({error}): {last_words(log)}")
    finally:
        mend()
    text = log.read_text(errors="replace") + "".join(
        path.read_text(errors="replace") for path in folder.rglob("run.log")
    )
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("efficient-sed: ")]
    allowed = (REFUSED, FAILED_RUNS) if job.name == "sweep" else (REFUSED,)
    has_its_lines = bool(lines) if job.name in MANY_LINES else len(lines) == 1
    if status and (status not in allowed or "Traceback" in text or "Exception ignored" in text or not has_its_lines):
        wrong(f"status {status}: {last_words(log)}")
    outcome.num_refused += status != 0
    for problem in broken_files(folder):
        wrong(f"half-written: {problem}")
    if lost := [key for key, value in before.items() if job.finished(folder).get(key, 0) < value]:
        wrong(f"lost: {', '.join(lost)}")
    if status and (status := start(job, folder, log=log).wait(HUNG_S)):
        return wrong(f"typed again with room: status {status}: {last_words(log)}")
    result = job.result(folder)
    for key in sorted(result.keys() | reference.result.keys()):
        if result.get(key) != reference.result.get(key):
            wrong(f"{key} is not that of a job with room{difference(result.get(key), reference.result.get(key))}")
    return None


def walk(kind: str, given: Material, count: int, scratch: Path, disk: Disk | None) -> dict[str, Outcome]:
    """Every way to fail, at up to `count` places each."""
    job, log = ALL_JOBS[kind](given), scratch / f"{kind}.log"
    given.server.manner = "whole"
    reference = run_whole(job, scratch / f"{kind}_whole")
    outcomes: dict[str, Outcome] = {}
    for name, reason in (("no room", errno.ENOSPC), ("turns read-only", errno.EROFS)):
        outcome = outcomes[name] = Outcome()
        for number in places(reference.num_writes, count):
            folder = scratch / f"{kind}_failing"
            folder.mkdir()
            counter = WriteCounter(folder)
            try_once(
                job,
                folder,
                log,
                reference,
                outcome,
                f"{name} from write {number}",
                partial(fail_from, number, reason, counter),
                lambda: None,
            )
            shutil.rmtree(folder)
    if disk is None:
        return outcomes
    folder = disk.path / kind
    needed = (1 << 17) + 2 * sum(
        path.stat().st_size for path in (scratch / f"{kind}_whole").rglob("*") if path.is_file()
    )
    outcome = outcomes["small disk"] = Outcome()
    for num_pages in places(1 + needed // PAGE_BYTES, count):
        num_bytes = (num_pages - 1) * PAGE_BYTES
        folder.mkdir()
        disk.leave(num_bytes)
        try_once(
            job, folder, log, reference, outcome, f"a disk of {num_bytes} bytes", lambda: None, lambda: disk.leave(None)
        )
        shutil.rmtree(folder)
    folder.mkdir()
    disk.turn("ro")
    try_once(
        job,
        folder,
        log,
        reference,
        outcomes.setdefault("read-only", Outcome()),
        "a read-only disk",
        lambda: None,
        lambda: disk.turn("rw"),
    )
    shutil.rmtree(folder)
    return outcomes


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    with (
        counting(arguments, __doc__, ALL_JOBS, 12, "places at most, of each kind and way") as asked,
        small_disk(asked.folder / "disk") as disk,
    ):
        if disk is None:
            print("no small disk and no read-only one: only root may mount them", file=sys.stderr)
        outcomes = {
            (kind, way): seen
            for kind in asked.kinds
            for way, seen in walk(kind, asked.given, asked.count, asked.folder, disk).items()
        }
    numbers = (
        (*names, seen.num_tried, seen.num_refused, seen.num_tried - seen.num_refused)
        for names, seen in outcomes.items()
    )
    columns = ("command", "what fails", "tried", "one line and its status", "all done in spite of it")
    return asked.report(columns, zip(numbers, (seen.problems for seen in outcomes.values()), strict=True))


if __name__ == "__main__":
    sys.exit(main())
