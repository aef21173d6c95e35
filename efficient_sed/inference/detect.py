"""Events in an audio file of any length, with the scores that evaluation would give it.

PyTorch is imported with a PyTorch model only: an exported one does without.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from efficient_sed.audio.encoded import EncodedAudio, parse_channel
from efficient_sed.audio.grid import FrameGrid
from efficient_sed.audio.io import AudioReader, audio_info
from efficient_sed.audio.waveform_checks import MAX_PEAK
from efficient_sed.data.events import Event
from efficient_sed.data.score_checks import check_scores
from efficient_sed.data.windows import Window, cut_windows, join_windows
from efficient_sed.errors import CheckpointError, ConfigError, DataError
from efficient_sed.inference.detect_options import DetectOptions, PostprocessingChoice
from efficient_sed.inference.detector import Detector, check_task
from efficient_sed.inference.engines.contract import is_exported
from efficient_sed.postprocessing.events import decode_stream
from efficient_sed.postprocessing.stream import FILE_CONTEXT_S, smooth_stream
from efficient_sed.postprocessing.thresholds import AUTO, ThresholdChoice

if TYPE_CHECKING:
    from efficient_sed.models.sed import SedModel

logger = logging.getLogger(__name__)
ROUNDING_S = 0.001  # a few samples at any rate


def detect(
    path: str | Path,
    model: SedModel | Detector | str | Path,
    threshold: ThresholdChoice = AUTO,
    median_frames: int | None = None,
    hop_s: float | None = None,
    channel: str | int = "mix",
    postprocessing: PostprocessingChoice = AUTO,
) -> list[Event]:
    """Find the events in an audio file of any length.

    Args:
        path: The file.
        model: A model, which is put in evaluation mode; the name of a released one; or a file that holds one, an
            exported one too.
        threshold: A frame is active from this probability on, in (0, 1): one for all classes, or some by label, with
            "default" for the others; default "auto": those that the model was tuned to, 0.5 where it was not.
        median_frames: Window of a median filter in frames, odd, 1 for no filter, which takes the place of the model's
            post-processing and of its thresholds; default None, the model's own.
        hop_s: Seconds from one window of a long file to the next; default None, four fifths of the length that the
            model was trained on.
        channel: Channel of the file: mix (the mean of all), first, or a number from 1.
        postprocessing: From scores to events: "auto", the model's own; "none", scores as they are; a `Postprocessing`;
            or a file that `efficient-sed tune --output` wrote.

    Returns:
        Events in order of onset; an event's score is the highest one inside it, after post-processing.

    Raises:
        TypeError: If `path` is no path, or `model` no model.
        DataError: If the file cannot be decoded, or a score is not a number.
        ConfigError: If an option is not allowed, or the model's frame scores are untrained.
        CheckpointError: If `model` is a name or a file without usable weights.
    """
    return sorted(iterate_events(path, model, DetectOptions(threshold, median_frames, hop_s, channel, postprocessing)))


def iterate_events(
    path: str | Path, model: SedModel | Detector | str | Path, options: DetectOptions | None = None
) -> Iterator[Event]:
    """Find the events in an audio file while it is read; memory does not grow with the file's length.

    Args:
        path: The file.
        model: As for `detect`.
        options: How events are found; default None, `DetectOptions()`.

    Yields:
        Each event soon after it has ended, hence in order of offset.

    Raises:
        TypeError: As `detect`, before the first event is asked for, as are the other errors but DataError.
        DataError: As `detect`.
        ConfigError: As `detect`.
        CheckpointError: As `detect`.
    """
    options = options or DetectOptions()
    if not isinstance(path, str | PathLike | EncodedAudio):
        given = f"{type(path).__module__.split('.')[0]}.{type(path).__name__}".removeprefix("builtins.")
        advice = "es.Stream(model).events([samples]) takes samples"
        raise TypeError(f"path must be that of an audio file, got {given}; {advice}")
    duration_s = audio_info(path).duration_s
    detector = open_detector(model)
    rule = options.rule(detector)
    pieces = score_file(path, detector, options, duration_s=duration_s)
    return decode_stream(pieces, detector.classes, detector.grid, rule.thresholds, duration_s)


def open_detector(
    model: SedModel | Detector | str | Path, num_threads: int | None = None, engine: str | None = None
) -> Detector:
    """A detector from a model, a released name or a file.

    Args:
        model: As for `detect`.
        num_threads: Of a model that is loaded; default None, as many as its engine takes by itself.
        engine: What runs an exported model, a name in `ENGINES`; default None, the default one for its ending.

    Raises:
        CheckpointError: If it is a name or a file without usable weights.
        ConfigError: If its frame scores are untrained, or there is no such engine.
        MissingDependencyError: If it is an exported one and its engine is not installed.
        TypeError: If it is no model.
    """
    if isinstance(model, str | Path):
        if is_exported(model):
            from efficient_sed.inference.exported_model import ExportedModel

            exported = ExportedModel(model, num_threads, engine)
            check_task(exported.task)
            return exported
        if engine is not None:
            raise ConfigError(
                f"--engine {engine} runs exported models, and {model} is none; "
                f"make one by: efficient-sed export {model} --format FORMAT"
            )
        from efficient_sed.inference.torch_detector import load_detector

        return load_detector(str(model), num_threads)
    if hasattr(model, "provenance"):
        from efficient_sed.inference.torch_detector import TorchDetector

        return TorchDetector(cast("SedModel", model))
    if not hasattr(model, "score_frames"):
        raise TypeError(f"model must be a SedModel, the name of one or its file, got {type(model).__name__}")
    check_task(getattr(model, "task", "detection"))
    return model


def score_file(
    path: str | Path,
    detector: Detector,
    options: DetectOptions,
    progress: Callable[[float], object] | None = None,
    duration_s: float | None = None,
) -> Iterator[np.ndarray]:
    """Score every frame of an audio file.

    Args:
        path: The file.
        detector: What scores it.
        options: How windows are cut, and what is applied to scores.
        progress: Called after each window with the seconds that were scored since the call before.
        duration_s: Where to stop; default None, at the end, which moves on while the file is recorded.

    Yields:
        Scores (frames, classes) after post-processing, in consecutive pieces.

    Raises:
        DataError: If the file cannot be decoded, or a score is not a number.
    """
    duration_s = audio_info(path).duration_s if duration_s is None else duration_s
    pieces = join_windows(_score_windows(path, detector, options, progress, duration_s))
    return smooth_stream(pieces, options.rule(detector).chain, detector.grid.hop_s, FILE_CONTEXT_S)


def read_windows(
    path: str | Path,
    window_s: float,
    grid: FrameGrid,
    duration_s: float,
    hop_s: float | None = None,
    channel: str | int = "mix",
) -> Iterator[tuple[Window, np.ndarray]]:
    """Cut the first seconds of a file into windows of one length.

    Args:
        path: The file.
        window_s: Seconds of a window.
        grid: Of the model that the windows are for.
        duration_s: Seconds of the file that are read.
        hop_s: Seconds from one window to the next; default None, four fifths of a window.
        channel: As for `detect`.

    Yields:
        Windows with their waveforms (1, samples) at the grid's sample rate; a short one is padded with zeros.

    Raises:
        DataError: If the file cannot be decoded, or is shorter.
    """
    length = round(window_s * grid.sample_rate)
    with AudioReader(path, sample_rate=grid.sample_rate, channel=parse_channel(channel)) as reader:
        for window in cut_windows(duration_s, window_s, grid, hop_s):
            samples = reader.read(window.start_s, window_s)[:length]  # at some rates there is one more
            end_s = window.start_s + len(samples) / grid.sample_rate
            if end_s < min(window.start_s + window_s, duration_s) - ROUNDING_S:
                raise DataError(f"{path}: became shorter while it was read: {end_s:g} s of {duration_s:g} s are there")
            yield window, np.pad(samples, (0, length - len(samples)))[None]


def _score_windows(
    path: str | Path,
    detector: Detector,
    options: DetectOptions,
    progress: Callable[[float], object] | None,
    duration_s: float,
) -> Iterator[tuple[Window, np.ndarray]]:
    """Probabilities (frames, classes) of each window; one at a time, so that a batch never changes a score."""
    is_loud, scored_s = False, 0.0
    windows = read_windows(path, detector.clip_seconds, detector.grid, duration_s, options.hop_s, options.channel)
    for window, waveform in windows:
        if not is_loud and (peak := np.abs(waveform).max()) > MAX_PEAK:
            is_loud = True
            logger.warning("%s: samples reach %g where [-1, 1] is expected; scores may mean nothing", path, peak)
        try:
            scores = detector.score_frames(waveform)[0]
        except CheckpointError as error:  # an exported model checks its own scores
            raise CheckpointError(f"{path}: {error}") from error
        first_frame = round(window.start_s / detector.grid.hop_s)
        check_scores(str(path), scores, detector.classes, first_frame=first_frame)  # smoothing would hide NaN
        yield window, scores
        if progress is not None:
            end_s = min(window.start_s + detector.clip_seconds, duration_s)
            progress(end_s - scored_s)
            scored_s = end_s
