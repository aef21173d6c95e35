"""Detection in many recordings, by one process or several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from efficient_sed.inference._pool import detect_in_processes
from efficient_sed.inference.detect import open_detector
from efficient_sed.inference.detect_one import Found, Task, detect_one
from efficient_sed.inference.recordings import Recording


def detect_files(
    recordings: Sequence[Recording],
    model: str,
    task: Task,
    *,
    engine: str | None = None,
    jobs: int = 1,
    progress: Callable[[float], object] | None = None,
    check_labels: Callable[[Sequence[str]], object] | None = None,
) -> Iterator[Found]:
    """Find the events of each recording.

    Args:
        recordings: The files.
        model: Name or file; each process loads it for itself.
        task: What is done with each recording.
        engine: What runs an exported model; default None, the default one for its ending.
        jobs: Processes of one thread that share the recordings.
        progress: Called with the seconds of audio that were scored since the call before.
        check_labels: Called with the model's labels before anything is scored; raises an error if they cannot be used.

    Yields:
        What was found in each recording: in their order, or by several processes, each as soon as it is finished.

    Raises:
        CheckpointError: If there are no such weights.
        ConfigError: If the model's frame scores are untrained, or an option is not allowed.
        DataError: If a process ended in the middle of its work.
        MissingDependencyError: If it is an exported one and its engine is not installed.
    """
    if jobs > 1:
        for found in detect_in_processes(recordings, model, task, engine, jobs, check_labels):
            if progress is not None:
                progress(found.recording.duration_s)
            yield found
        return
    detector = open_detector(model, engine=engine)
    if check_labels is not None:
        check_labels(detector.classes)
    for recording in recordings:
        yield detect_one(recording, detector, task, progress)
