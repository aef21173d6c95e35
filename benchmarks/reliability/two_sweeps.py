"""Two processes with the same command at the same place: nothing may be lost, and each must end with a clear line.

cd benchmarks && python -m reliability.two_sweeps [--count 12] [--seed 0] [--kind sweep,"overlapping sweeps",…]

Both start within milliseconds of each other. One may refuse (status 2), or count a run as failed (status 1) because the
other works on it, if its last line says so. Run again after both have ended, each must succeed, and the result must be
that of a single process.
"""

from __future__ import annotations

import random
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reliability.count import counting
from reliability.jobs import JOBS, Job, Material, Sweep
from reliability.kills import HUNG_S, difference, last_words, log_file, run_whole, start
from reliability.processes import CRASHED
from reliability.whole import broken_files, hidden_files

MAX_LEAD_S = 0.02
BUSY = ("another process is",)
REFUSED = (1, 2)


class LaterSeeds(Sweep):
    """A grid that shares a point with that of `Sweep`."""

    words = ("seq=none", "seed=1,2", "train.epochs=2")


PAIRS: dict[str, tuple[type[Job], type[Job]]] = {
    "sweep": (Sweep, Sweep),
    "overlapping sweeps": (Sweep, LaterSeeds),
    **{
        kind: (JOBS[kind], JOBS[kind])
        for kind in ("train", "pseudo-label", "data pack", "convert", "download", "data check")
    },
}


@dataclass
class Outcome:
    """What happened to pairs of one kind."""

    num_pairs: int = 0
    num_refused: int = 0
    """Commands that left it to the other one."""
    problems: list[str] = field(default_factory=list)


def run_pair(jobs: Sequence[Job], folder: Path, expected: dict[str, Any], lead_s: float, outcome: Outcome) -> None:
    """Two jobs at once in one folder, then each once more; what is wrong goes into the outcome."""
    folder.mkdir()

    def wrong(what: str) -> None:
        outcome.problems.append(f"{' and '.join(job.name for job in jobs)}, {1e3 * lead_s:.1f} ms apart: {what}")

    logs = [folder.with_name(f"{folder.name}_{index}.log") for index in range(len(jobs))]
    processes = [start(jobs[0], folder, log=logs[0])]
    time.sleep(lead_s)
    processes.append(start(jobs[1], folder, log=logs[1]))
    for process, log in zip(processes, logs, strict=True):
        try:
            status = process.wait(HUNG_S)
        except TimeoutError as error:
            wrong(f"hangs ({error}): {last_words(log)}")
            continue
        last_line = last_words(log).rpartition(" / ")[2]
        outcome.num_refused += status in REFUSED
        if status == CRASHED or (
            status in REFUSED
            and not (last_line.startswith("efficient-sed: ") and any(words in last_words(log) for words in BUSY))
        ):
            wrong(f"status {status}: {last_words(log)}")
    outcome.num_pairs += 1
    for job in jobs:
        if status := start(job, folder).wait(HUNG_S):
            wrong(f"typed again: status {status}: {last_words(log_file(folder))}")
            return
    for problem in broken_files(folder):
        wrong(f"half-written: {problem}")
    for name in hidden_files(folder):
        wrong(f"left: {name}")
    result = {key: value for job in jobs for key, value in job.result(folder).items()}
    for key in sorted(result.keys() | expected.keys()):
        if result.get(key) != expected.get(key):
            wrong(f"{key} is not that of one alone{difference(result.get(key), expected.get(key))}")


def count_pairs(kind: str, given: Material, count: int, seed: int, scratch: Path) -> Outcome:
    """Run pairs of a kind."""
    jobs, outcome, draw = [job(given) for job in PAIRS[kind]], Outcome(), random.Random(f"{seed} {kind}")
    expected: dict[str, Any] = {}
    for index, job in enumerate(jobs[: len(set(PAIRS[kind]))]):
        expected |= run_whole(job, scratch / f"{kind}_whole{index}").result
    for _ in range(count):
        run_pair(jobs, scratch / f"{kind}_pair", expected, draw.uniform(0, MAX_LEAD_S), outcome)
        shutil.rmtree(scratch / f"{kind}_pair", ignore_errors=True)
    return outcome


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    with counting(arguments, __doc__, PAIRS, 3, "pairs of each kind") as asked:
        outcomes = {kind: count_pairs(kind, asked.given, asked.count, asked.seed, asked.folder) for kind in asked.kinds}
    numbers = ((kind, seen.num_pairs, seen.num_refused) for kind, seen in outcomes.items())
    return asked.report(
        ("two at once", "pairs", "left it to the other"),
        zip(numbers, (seen.problems for seen in outcomes.values()), strict=True),
    )


if __name__ == "__main__":
    sys.exit(main())
