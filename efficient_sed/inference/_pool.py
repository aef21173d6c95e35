"""Detection by several processes of one thread."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice

from efficient_sed.errors import DataError, EfficientSedError
from efficient_sed.inference.detect import open_detector
from efficient_sed.inference.detect_one import Found, Task, detect_one
from efficient_sed.inference.detector import Detector
from efficient_sed.inference.recordings import Recording
from efficient_sed.machine.processes import end_with_parent

GRACE_S = 5.0  # for a process to remove what it has begun to write
CheckLabels = Callable[[Sequence[str]], object]


def detect_in_processes(
    recordings: Sequence[Recording],
    model: str,
    task: Task,
    engine: str | None,
    jobs: int,
    check_labels: CheckLabels | None,
) -> Iterator[Found]:
    """Find the events of each recording; arguments and errors as for `detect_files`."""
    context, others = multiprocessing.get_context("spawn"), multiprocessing.active_children()
    with ProcessPoolExecutor(min(jobs, len(recordings)), context, _start, (model, engine, check_labels)) as pool:
        waiting = iter(recordings)
        running: set[Future[Found]] = {pool.submit(_detect, recording, task) for recording in islice(waiting, 2 * jobs)}
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                running |= {pool.submit(_detect, recording, task) for recording in islice(waiting, len(done))}
                for future in done:
                    yield future.result()
        except BrokenProcessPool as error:
            raise DataError(
                f"a process of --jobs {jobs} ended in the middle of its work, perhaps for lack of memory; "
                "give fewer jobs"
            ) from error
        except BaseException:
            _stop(process for process in multiprocessing.active_children() if process not in others)
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _stop(processes: Iterable[multiprocessing.process.BaseProcess]) -> None:
    """End processes that may be in the middle of hours of work, with time to remove what they have begun to write."""
    stopped = list(processes)
    for process in stopped:
        process.terminate()
    for process in stopped:
        process.join(GRACE_S)
        process.kill()


_detector: Detector | EfficientSedError | None = None  # of a process of the pool


def _start(name: str, engine: str | None, check_labels: CheckLabels | None) -> None:
    """Open this process's detector, or keep the error for its tasks: raised here it would only break the pool."""
    global _detector  # noqa: PLW0603
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that gave the work
    signal.signal(signal.SIGTERM, _end)  # which then ends this one
    try:
        with _ending_quietly():
            _detector = open_detector(name, num_threads=1, engine=engine)
            if check_labels is not None:
                check_labels(_detector.classes)
    except EfficientSedError as error:
        _detector = error


def _end(*_: object) -> None:
    """Leave in the middle of the work; files that were begun are removed on the way out."""
    sys.unraisablehook = lambda _: None  # numba's compiler would print the exit that interrupts it
    sys.exit(1)


@contextmanager
def _ending_quietly() -> Iterator[None]:
    """End the process on `_end`'s exit, which the pool would print, or take for a result and go on."""
    try:
        yield
    except SystemExit:
        os._exit(1)


def _detect(recording: Recording, task: Task) -> Found:
    if _detector is None or isinstance(_detector, EfficientSedError):
        raise _detector or RuntimeError("the process was not started by detect_in_processes")
    with _ending_quietly():
        return detect_one(recording, _detector, task)
