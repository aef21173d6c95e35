"""Damaged and random inputs of all kinds that the package reads: each must be refused in one line, or read correctly.

OMP_NUM_THREADS=1 python benchmarks/reliability/fuzz.py [--count 10000] [--first 0] [--kinds wav folder …]
OMP_NUM_THREADS=1 python benchmarks/reliability/fuzz.py --kinds wav --again 4711  # one attempt, with its traceback

An attempt is determined by the name of a kind and a number. Counted as wrong: an error that is not one of the package's
own or has more than one line; more than ten seconds of CPU time or forty of wall time; more than 4 GiB beyond the
start; a process that dies; and accepted input that breaks what must always hold, such as events inside their clip,
finite scores and weights, and contents that match their checksum. Each kind states its own.
"""

from __future__ import annotations

import argparse
import faulthandler
import logging
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script, the folder above is not on the path

from efficient_sed.errors import EfficientSedError
from efficient_sed.machine.memory import is_memory
from reliability.inputs import Kind, Wrong
from reliability.inputs_annotations import ANNOTATIONS
from reliability.inputs_containers import CONTAINERS
from reliability.inputs_models import MODELS
from reliability.inputs_runs import RUNS
from reliability.inputs_sound import SOUND

KINDS: dict[str, Kind] = {kind.name: kind for kind in (*SOUND, *ANNOTATIONS, *CONTAINERS, *MODELS, *RUNS)}
HANG_S = 10.0  # of processor time, which other work on the machine does not lengthen
MEMORY_BYTES = 4 * 2**30
STUCK_S = 40.0  # of a process that waits, or does not react to its alarm


class Outcome(NamedTuple):
    """What came of one attempt."""

    number: int
    verdict: str
    """"accepted", "refused", or what is wrong."""
    detail: str = ""
    seconds: float = 0.0


class _HangError(BaseException):
    """Not an Exception, so that no handler of the package takes it."""


def attempt(kind: Kind, number: int, folder: Path) -> Outcome:
    """One input, made and read."""
    begun = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, HANG_S)
    try:
        is_accepted = kind.attempt(random.Random(f"{kind.name}/{number}"), folder)
        verdict, detail = ("accepted" if is_accepted else "refused"), ""
    except Wrong as error:
        verdict, detail = "wrong value", str(error)
    except _HangError:
        verdict, detail = "hang", _last_frame()
    except EfficientSedError as error:
        message = str(error)
        verdict, detail = (
            ("refused", "") if message and len(message.splitlines()) == 1 else ("not one line", repr(message[:300]))
        )
        if any(is_memory(cause) for cause in _causes(error)):
            verdict, detail = "memory", message[:300]
    except BaseException as error:  # the point of it
        verdict = "memory" if is_memory(error) else "traceback"
        detail = f"{type(error).__name__}: {str(error)[:200]} {_last_frame()}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return Outcome(number, verdict, detail, time.process_time() - begun)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _last_frame() -> str:
    frames = [frame for frame in traceback.extract_tb(sys.exc_info()[2]) if "efficient_sed" in frame.filename]
    return f"({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""


def _alarm(signum: int, frame: object) -> NoReturn:  # noqa: ARG001 (a handler's signature)
    raise _HangError


def _work(kind: Kind, numbers: Sequence[int], folder: Path, results: Connection) -> None:
    """In a process of its own."""
    _quiet()
    signal.signal(signal.SIGPROF, _alarm)
    os.environ["EFFICIENT_SED_HOME"] = str(folder / "home")
    if not (folder / "ready").exists():
        kind.prepare(folder)
        (folder / "ready").touch()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, used + MEMORY_BYTES))
    for number in numbers:
        results.send(attempt(kind, number, folder))


def _quiet() -> None:
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    faulthandler.disable()  # a crash is counted; its dump would go to the parent's own copy of the standard error
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what C libraries say of damaged files


def fuzz(kind: Kind, numbers: Sequence[int], folder: Path) -> list[Outcome]:
    """Run attempts in other processes: if one dies or hangs, its attempt is counted and another process continues."""
    outcomes: list[Outcome] = []
    context = multiprocessing.get_context("fork")
    while len(outcomes) < len(numbers):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(kind, numbers[len(outcomes) :], folder, sender))
        process.start()
        sender.close()
        begun = len(outcomes)
        try:
            while receiver.poll(
                STUCK_S if len(outcomes) > begun else 10 * STUCK_S
            ):  # the first waits for the kind's originals
                outcomes.append(receiver.recv())
            reason = "hang"
        except EOFError:
            process.join()
            status = process.exitcode or 0
            reason = (
                f"process ended by {signal.Signals(-status).name}" if status < 0 else f"process ended with {status}"
            )
        process.kill()
        process.join()
        if len(outcomes) < len(numbers):
            if not (folder / "ready").exists():
                raise RuntimeError(f"{kind.name}: its originals could not be made ({reason})")
            outcomes.append(Outcome(numbers[len(outcomes)], reason))
    return outcomes


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="attempts of all kinds together")
    parser.add_argument("--first", type=int, default=0, help="the first attempt's number")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument(
        "--again", type=int, metavar="NUMBER", help="make one attempt of one kind once more, in this process"
    )
    options = parser.parse_args()
    chosen = [KINDS[name] for name in options.kinds]
    with tempfile.TemporaryDirectory() as scratch:
        if options.again is not None:
            os.environ["EFFICIENT_SED_HOME"] = str(Path(scratch) / "home")
            chosen[0].prepare(Path(scratch))
            print(
                "accepted"
                if chosen[0].attempt(random.Random(f"{chosen[0].name}/{options.again}"), Path(scratch))
                else "refused"
            )
            return 0
        wrong = run(chosen, options.count, options.first, Path(scratch))
    return 1 if wrong else 0


def run(chosen: Sequence[Kind], count: int, first: int, scratch: Path) -> int:
    """Print the table, and of everything wrong what repeats it; returns how many were wrong."""
    shares = sum(kind.share for kind in chosen)
    print("| input | tried | refused | accepted | wrong | slowest |\n|---|---:|---:|---:|---:|---:|", flush=True)
    total: Counter[str] = Counter()
    failures: list[str] = []
    for kind in chosen:
        folder = scratch / kind.name
        folder.mkdir()
        size = max(1, round(count * kind.share / shares))
        outcomes = fuzz(kind, range(first, first + size), folder)
        verdicts = Counter(outcome.verdict for outcome in outcomes)
        wrong = [outcome for outcome in outcomes if outcome.verdict not in ("accepted", "refused")]
        failures += [f"{kind.name} {outcome.number}: {outcome.verdict}: {outcome.detail}" for outcome in wrong]
        slowest = max(outcome.seconds for outcome in outcomes)
        print(
            f"| {kind.title} | {len(outcomes)} | {verdicts['refused']} | {verdicts['accepted']} | {len(wrong)} "
            f"| {slowest:.1f} s |",
            flush=True,
        )
        total.update(
            {
                "tried": len(outcomes),
                "refused": verdicts["refused"],
                "accepted": verdicts["accepted"],
                "wrong": len(wrong),
            }
        )
    print(f"| all | {total['tried']} | {total['refused']} | {total['accepted']} | {total['wrong']} | |\n", flush=True)
    for failure in failures:
        print(ascii(failure)[1:-1])
    return len(failures)


if __name__ == "__main__":
    sys.exit(main())
