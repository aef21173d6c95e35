"""Detection in one of many recordings: its events, or the error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from efficient_sed.data.events import Event
from efficient_sed.data.windows import cut_windows
from efficient_sed.errors import DataError, printable
from efficient_sed.inference.detect import score_file
from efficient_sed.inference.detect_options import DetectOptions, EventRule
from efficient_sed.inference.detector import Detector
from efficient_sed.inference.doubts import Doubt, decode_doubts
from efficient_sed.inference.recordings import Recording
from efficient_sed.inference.score_files import FrameScores, keep_scores, write_scores
from efficient_sed.postprocessing.events import decode_stream

SCORES_SUFFIX = ".npz"


class Found(NamedTuple):
    """What was detected in a recording."""

    recording: Recording
    rule: EventRule
    """How its scores became events."""
    events: list[Event]
    error: str | None = None
    """Why it could not be read to its end; it has no events then."""
    scores: FrameScores | None = None
    """Scores of its frames, if they were to be kept."""
    doubts: Sequence[Doubt] = ()
    """Stretches that the model is not sure of, if they were to be found."""


@dataclass(frozen=True)
class Task:
    """What is done with each recording; it goes to the processes that do it."""

    options: DetectOptions
    scores_folder: Path | None = None
    """Where the scores of each recording's frames are written; None: nowhere."""
    has_scores: bool = False
    """Whether they are kept with the events."""
    has_doubts: bool = False
    """Whether doubtful stretches are found besides the events."""


def detect_one(
    recording: Recording, detector: Detector, task: Task, progress: Callable[[float], object] | None = None
) -> Found:
    """Find the events of a recording, or the error that prevents it.

    Args:
        recording: The file.
        detector: What scores it.
        task: What is done with it.
        progress: Called after each window with the seconds that were scored since the call before.
    """
    grid, classes, rule = detector.grid, detector.classes, task.options.rule(detector)
    pieces = score_file(recording.path, detector, task.options, progress, recording.duration_s)
    kept: list[np.ndarray] = []
    try:
        if task.has_scores:
            pieces = keep_scores(pieces, kept)
        if task.scores_folder is not None:
            last = cut_windows(recording.duration_s, detector.clip_seconds, grid, task.options.hop_s)[-1]
            num_frames = round(last.start_s / grid.hop_s) + last.last
            path = task.scores_folder / f"{recording.output}{SCORES_SUFFIX}"
            pieces = write_scores(path, pieces, num_frames, classes, grid.hop_s, rule.chain.to_list())
        doubts: Sequence[Doubt] = ()
        if task.has_doubts:
            events, doubts = decode_doubts(pieces, classes, grid, rule.thresholds, recording.duration_s)
        else:
            events = sorted(decode_stream(pieces, classes, grid, rule.thresholds, recording.duration_s))
    except DataError as error:
        message = str(error).replace(printable(str(recording.path)), printable(recording.name))
        return Found(recording, rule, [], error=message)
    scores = FrameScores(np.concatenate(kept), classes, grid.hop_s) if task.has_scores else None
    return Found(recording, rule, events, scores=scores, doubts=doubts)
