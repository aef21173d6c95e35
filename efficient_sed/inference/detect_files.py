"""Detection in many recordings: folders, several processes, one result after another."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from efficient_sed.audio.encoded import SUFFIXES
from efficient_sed.audio.io import audio_info, find_audio
from efficient_sed.data.events import Event
from efficient_sed.data.spelling import canonical
from efficient_sed.data.windows import cut_windows
from efficient_sed.errors import DataError, EfficientSedError, printable
from efficient_sed.inference.detect import DetectOptions, open_detector, score_file
from efficient_sed.inference.detector import Detector
from efficient_sed.inference.score_files import FrameScores, keep_scores, write_scores
from efficient_sed.machine.processes import end_with_parent
from efficient_sed.postprocessing.median import decode_stream

STDIN = "-"
SCORES_SUFFIX = ".npz"
GRACE_S = 5.0


class Recording(NamedTuple):
    """A file to listen to."""

    path: Path
    name: str
    """What results call it: the path as it was typed or found."""
    output: Path
    """Where results of its own go, without their ending, below a folder of results."""
    duration_s: float


class Found(NamedTuple):
    """What was heard in a recording."""

    recording: Recording
    events: list[Event]
    error: str | None = None
    """Why it could not be read to its end; it has no events then."""
    scores: FrameScores | None = None
    """If they were to be kept."""


def find_recordings(paths: Iterable[Path]) -> tuple[list[Recording], list[str]]:
    """Files, and all audio files below folders, sorted; and messages about those that are not readable.

    Raises:
        DataError: For a folder without audio.
    """
    recordings: list[Recording] = []
    unreadable: list[str] = []
    for path in paths:
        known = len(unreadable)
        inside = (
            [(file, file.relative_to(path).with_suffix("")) for file in find_audio(path, unreadable)]
            if path.is_dir()
            else [(path, Path(path.stem))]
        )
        if not inside and len(unreadable) == known:
            raise DataError(f"{path}: no audio in this folder; files that end in {', '.join(SUFFIXES)} are taken")
        for file, output in inside:
            try:
                recordings.append(Recording(file, str(file), output, audio_info(file).duration_s))
            except DataError as error:
                unreadable.append(str(error))
    return recordings, unreadable


def check_outputs(recordings: Iterable[Recording]) -> None:
    """Raise a DataError if results of two recordings would have one name."""
    seen: dict[str, str] = {}
    for recording in recordings:
        if (other := seen.setdefault(canonical(str(recording.output)), recording.name)) != recording.name:
            raise DataError(
                f"{other} and {recording.name}: their results would both be called {recording.output}; give them one at a time"
            )


@contextlib.contextmanager
def spooled_stdin() -> Iterator[Recording]:
    """The standard input, an audio file, in a temporary file.

    Raises:
        DataError: If it is empty or no audio.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stdin"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        try:
            yield Recording(path, "stdin", Path("stdin"), audio_info(path).duration_s)
        except DataError as error:
            raise DataError(str(error).replace(str(path), "stdin")) from error


def detect_one(
    recording: Recording,
    detector: Detector,
    options: DetectOptions,
    scores_folder: Path | None = None,
    has_scores: bool = False,
    heard: Callable[[float], object] = bool,
) -> Found:
    """Events of a recording, or why there are none; the scores of its frames are written into a folder, and kept with the events, if asked for."""
    pieces = score_file(recording.path, detector, options, heard, recording.duration_s)
    kept: list[np.ndarray] = []
    try:
        if has_scores:
            pieces = keep_scores(pieces, kept)
        if scores_folder is not None:
            last = cut_windows(recording.duration_s, detector.clip_seconds, detector.grid, options.hop_s)[-1]
            num_frames = round(last.start_s / detector.grid.hop_s) + last.last
            pieces = write_scores(
                scores_folder / f"{recording.output}{SCORES_SUFFIX}",
                pieces,
                num_frames,
                detector.classes,
                detector.grid.hop_s,
            )
        events = sorted(decode_stream(pieces, detector.classes, detector.grid, options.threshold, recording.duration_s))
        return Found(
            recording,
            events,
            scores=FrameScores(np.concatenate(kept), detector.classes, detector.grid.hop_s) if has_scores else None,
        )
    except DataError as error:
        return Found(recording, [], str(error).replace(printable(str(recording.path)), printable(recording.name)))


def detect_files(
    recordings: Sequence[Recording],
    model: str,
    options: DetectOptions,
    *,
    engine: str | None = None,
    jobs: int = 1,
    scores_folder: Path | None = None,
    has_scores: bool = False,
    heard: Callable[[float], object] = bool,
    check_labels: Callable[[Sequence[str]], object] = bool,
) -> Iterator[Found]:
    """What was heard in each recording: in their order, or by several processes of one thread, each as soon as it is finished.

    Args:
        model: Name or file; each process loads it for itself.
        engine: What runs an exported model; none: onnxruntime.
        scores_folder: Where the scores of each recording's frames go; none: they are not written.
        has_scores: Keep them in memory, too, in what was found.
        heard: Told of seconds of audio that were scored since it was last told.
        check_labels: Called with the model's labels before anything is scored; raises an error if they cannot be used.

    Raises:
        CheckpointError: If there are no such weights.
        ConfigError: If the model's frame scores are untrained, or an option is not allowed.
        MissingDependencyError: If it is an exported one and its engine is not installed.
    """
    if jobs == 1:
        loaded = open_detector(model, engine=engine)
        check_labels(loaded.classes)
        for recording in recordings:
            yield detect_one(recording, loaded, options, scores_folder, has_scores, _Since(heard, recording.duration_s))
        return
    context, others = multiprocessing.get_context("spawn"), multiprocessing.active_children()
    with ProcessPoolExecutor(min(jobs, len(recordings)), context, _start, (model, engine, check_labels)) as pool:
        waiting = iter(recordings)
        running: set[Future[Found]] = {
            pool.submit(_detect_here, recording, options, scores_folder, has_scores)
            for recording in islice(waiting, 2 * jobs)
        }
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                running |= {
                    pool.submit(_detect_here, recording, options, scores_folder, has_scores)
                    for recording in islice(waiting, len(done))
                }
                for future in done:
                    found = future.result()
                    heard(found.recording.duration_s)
                    yield found
        except BrokenProcessPool as error:
            raise DataError(
                f"a process of --jobs {jobs} ended in the middle of its work, perhaps for lack of memory; give fewer jobs"
            ) from error
        except BaseException:
            _stop(process for process in multiprocessing.active_children() if process not in others)
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _stop(processes: Iterable[multiprocessing.process.BaseProcess]) -> None:
    """End processes that would be waited for, perhaps for hours; first so that they remove what they have begun to write."""
    stopped = list(processes)
    for process in stopped:
        process.terminate()
    for process in stopped:
        process.join(GRACE_S)
        process.kill()  # a compiler that is called back swallows what should end its process


class _Since:
    """Turns how far a file was heard into how much was heard since."""

    def __init__(self, heard: Callable[[float], object], duration_s: float) -> None:
        self.heard, self.duration_s, self.before_s = heard, duration_s, 0.0

    def __call__(self, position_s: float) -> None:
        position_s = min(position_s, self.duration_s)
        self.heard(position_s - self.before_s)
        self.before_s = position_s


_detector: Detector | EfficientSedError | None = None  # of a process of the pool


def _start(name: str, engine: str | None, check_labels: Callable[[Sequence[str]], object]) -> None:
    """Leave the detector, or why there is none, for the tasks of this process; an error raised here would only break the pool."""
    global _detector  # noqa: PLW0603
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that gave the work
    signal.signal(signal.SIGTERM, _end)  # which then ends this one
    try:
        _detector = open_detector(name, num_threads=1, engine=engine)
        check_labels(_detector.classes)
    except EfficientSedError as error:
        _detector = error


def _end(*_: object) -> None:
    """Leave in the middle of the work; files that were begun are removed on the way out."""
    sys.unraisablehook = lambda _: (
        None
    )  # numba's compiler, when it is called back, only prints what should end this process
    sys.exit(1)


def _detect_here(recording: Recording, options: DetectOptions, scores_folder: Path | None, has_scores: bool) -> Found:
    if _detector is None or isinstance(_detector, EfficientSedError):
        raise _detector or RuntimeError("the process was not started by detect_files")
    try:
        return detect_one(recording, _detector, options, scores_folder, has_scores)
    except SystemExit as ended:
        os._exit(ended.code)  # type: ignore[arg-type]  # the pool would take it for a result, and go on with the next recording
