"""Commands that are killed by SIGKILL again and again, and run again: no finished part may be lost or half-written.

cd benchmarks && python -m reliability.kills [--count 200] [--seed 0] [--kind train,sweep,…]

A job is killed up to MAX_KILLS times in a row, each time with its whole process group. Then it may end, and its result
is compared with that of a job that was never interrupted. Half of the kills come at a random moment of the job, half
near a write: just before a file is opened, renamed or removed, or within the next milliseconds. Jobs are forked from a
process that has imported everything.
"""

from __future__ import annotations

import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reliability.count import counting
from reliability.jobs import JOBS, Download, Job, Material, Sweep
from reliability.processes import Process, WriteCounter, kill_own_group
from reliability.server import MANNERS
from reliability.whole import broken_files, hidden_files

SHARES = {
    "train": 40,
    "sweep": 16,
    "pseudo-label": 40,
    "data pack": 35,
    "convert": 29,
    "download": 30,
    "data check": 10,
}
MAX_KILLS = 5
MAX_DELAYS_S = (0.0, 0.002, 0.02)
HUNG_S = 120.0


@dataclass
class Outcome:
    """What happened to the jobs of one kind."""

    num_kills: int = 0
    num_beside_writes: int = 0
    num_ended: int = 0
    num_left: int = 0
    """Hidden files that kills left, before the next start."""
    num_stayed: int = 0
    """Those still there when the job had ended."""
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Reference:
    """A job that was not interrupted."""

    seconds: float
    num_writes: int
    result: dict[str, Any]


def run_whole(job: Job, folder: Path) -> Reference:
    """Run a job alone.

    Raises:
        RuntimeError: If it fails, which is no matter of kills.
    """
    counter = WriteCounter(folder)
    folder.mkdir()
    begun = time.monotonic()
    if status := start(job, folder, counter.watch).wait(HUNG_S):
        raise RuntimeError(f"{job.name} ends with status {status} without any kill: {last_words(log_file(folder))}")
    return Reference(time.monotonic() - begun, counter.count, job.result(folder))


def start(job: Job, folder: Path, hook: Callable[[], None] = lambda: None, log: Path | None = None) -> Process:
    """The job's command in a process of its own; what it prints goes beside its folder, or into `log`."""

    def before() -> None:
        job.before(folder)
        hook()

    return Process(job.arguments(folder), log or log_file(folder), before)


def log_file(folder: Path) -> Path:
    """Where a job's output goes."""
    return folder.with_suffix(".log")


def last_words(log: Path) -> str:
    """What a job printed last."""
    return " / ".join(log.read_text(errors="replace").strip().splitlines()[-3:])


def run_killed(
    job: Job, folder: Path, reference: Reference, draw: random.Random, num_kills: int, outcome: Outcome
) -> None:
    """Run a job in its folder and kill it, until it ends by itself or was killed often enough; record what is wrong."""
    folder.mkdir()
    typed: list[str] = []

    def wrong(what: str) -> None:
        outcome.problems.append(f"{job.name}, after {'; '.join(typed) or 'no kill'}: {what}")

    done = job.finished(folder)
    for number in range(num_kills + 1):
        is_last = number == num_kills
        if isinstance(job, Download):
            job.material.server.manner = "whole" if is_last else draw.choice(MANNERS)
            typed.append(f"server: {job.material.server.manner}")
        try:
            how, status = attempt(job, folder, None if is_last else draw, reference)
        except TimeoutError as error:
            return wrong(f"hangs ({error}): {last_words(log_file(folder))}")
        typed.append(how)
        for problem in broken_files(folder):
            wrong(f"half-written: {problem}")
        now = job.finished(folder)
        if lost := [
            f"{key} {value} became {now.get(key, 0)}" for key, value in done.items() if now.get(key, 0) < value
        ]:
            wrong(f"lost: {', '.join(lost)}")
        done = now
        if status < 0:
            outcome.num_kills += 1
            outcome.num_beside_writes += how.startswith("killed at write")
            outcome.num_left += len(hidden_files(folder))
        elif status == 0:
            break
        elif not (status == 2 and isinstance(job, Download) and job.material.server.manner != "whole"):
            return wrong(f"ends with status {status}: {last_words(log_file(folder))}")
    outcome.num_ended += 1
    outcome.num_stayed += len(hidden_files(folder))
    result = job.result(folder)
    for key in sorted(result.keys() | reference.result.keys()):
        if result.get(key) != reference.result.get(key):
            wrong(f"{key} is not that of an uninterrupted job{difference(result.get(key), reference.result.get(key))}")
    return None


def difference(found: Any, expected: Any) -> str:
    """Where two results differ, for the message."""
    if not isinstance(found, dict) or not isinstance(expected, dict):
        return f": {str(found)[:80]}, not {str(expected)[:80]}"
    keys = (str(key) for key in found.keys() | expected.keys() if found.get(key) != expected.get(key))
    return f" in {', '.join(sorted(keys))[:200]}"


def attempt(job: Job, folder: Path, draw: random.Random | None, reference: Reference) -> tuple[str, int]:
    """Start the command and perhaps kill it; how it ended in words, and its status, below zero if it was killed."""
    if draw is None:
        return "let end", start(job, folder).wait(HUNG_S)
    if draw.random() < 0.5:
        number, delay_s = draw.randint(1, max(1, reference.num_writes)), draw.uniform(0, draw.choice(MAX_DELAYS_S))
        counter = WriteCounter(folder)
        process = start(
            job, folder, lambda: counter.watch(lambda count: kill_own_group(delay_s) if count == number else None)
        )
        status = process.wait(HUNG_S)
        return f"killed at write {number} + {1e3 * delay_s:.1f} ms" if status < 0 else f"status {status}", status
    process = start(job, folder)
    moment_s, is_alone = draw.uniform(0, reference.seconds), isinstance(job, Sweep) and draw.random() < 0.5
    if not process.has_ended(moment_s):
        process.kill(is_alone=is_alone)
    status = process.wait(HUNG_S)
    return f"killed{' alone' * is_alone} after {moment_s:.3f} s" if status < 0 else f"status {status}", status


def count_kills(kind: str, given: Material, count: int, seed: int, scratch: Path) -> Outcome:
    """Kill jobs of a kind until there were `count` kills."""
    outcome, job = Outcome(), JOBS[kind](given)
    given.server.manner = "whole"
    reference = run_whole(job, scratch / f"{kind}_whole")
    draw = random.Random(f"{seed} {kind}")
    folder = scratch / f"{kind}_killed"
    while outcome.num_kills < count:
        run_killed(job, folder, reference, draw, min(MAX_KILLS, count - outcome.num_kills), outcome)
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


def shares(kinds: Sequence[str], count: int) -> Counter[str]:
    """How many kills each kind gets."""
    total = sum(SHARES[kind] for kind in kinds)
    split = Counter({kind: count * SHARES[kind] // total for kind in kinds})
    split[kinds[0]] += count - split.total()
    return split


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    with counting(arguments, __doc__, SHARES, 200, "kills, of all kinds together") as asked:
        shared = shares(asked.kinds, asked.count)
        outcomes = {
            kind: count_kills(kind, asked.given, count, asked.seed, asked.folder) for kind, count in shared.items()
        }
    columns = (
        "job",
        "kills",
        "beside a write",
        "jobs ended and compared",
        "hidden files that kills left",
        "still there at the end",
    )
    numbers = (
        (kind, seen.num_kills, seen.num_beside_writes, seen.num_ended, seen.num_left, seen.num_stayed)
        for kind, seen in outcomes.items()
    )
    return asked.report(columns, zip(numbers, (seen.problems for seen in outcomes.values()), strict=True))


if __name__ == "__main__":
    sys.exit(main())
