"""Events in an audio file of any length, with the scores that evaluation would give it.

PyTorch is imported with a PyTorch model only: an exported one (`.onnx`) does without.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from efficient_sed.audio.encoded import EncodedAudio, parse_channel
from efficient_sed.audio.grid import FrameGrid
from efficient_sed.audio.io import AudioReader, audio_info
from efficient_sed.audio.waveform_checks import MAX_PEAK
from efficient_sed.config.schema import require_median
from efficient_sed.data.events import Event
from efficient_sed.data.score_checks import check_scores
from efficient_sed.data.windows import Window, cut_windows, join_windows
from efficient_sed.errors import CheckpointError, ConfigError, DataError, require
from efficient_sed.inference.detector import Detector, check_task
from efficient_sed.inference.engines import DEFAULT_ENGINE, EXPORTED_SUFFIX
from efficient_sed.postprocessing.median import decode_stream, smooth_stream

if TYPE_CHECKING:
    from efficient_sed.models.sed import SedModel

logger = logging.getLogger(__name__)
ROUNDING_S = 0.001  # a few samples at any rate


@dataclass(frozen=True)
class DetectOptions:
    """How events are found.

    Raises:
        ConfigError: If a value is not allowed.
    """

    threshold: float = 0.5
    """A frame is active from this probability on, in (0, 1)."""
    median_frames: int | None = None
    """Window of the median filter on scores, odd, 1 for no filter; none for the one the model was evaluated with."""
    hop_s: float | None = None
    """Seconds from one window of a long file to the next, half a window to a whole one; what overlaps is cross-faded. None: four fifths of a window."""
    channel: str | int = "mix"
    """Channel of the file: mix (the mean of all), first, or a number from 1."""

    def __post_init__(self) -> None:
        parse_channel(self.channel)
        if not isinstance(self.threshold, Real) or not 0 < self.threshold < 1:
            raise ConfigError(
                f"threshold={self.threshold} is not allowed: a probability between 0 and 1, both excluded"
            )
        if self.median_frames is not None:
            is_whole = isinstance(self.median_frames, Integral)
            require(is_whole, "median_frames", self.median_frames, "a whole number of frames")
            require_median("median_frames", self.median_frames)
        require(self.hop_s is None or isinstance(self.hop_s, Real), "hop_s", self.hop_s, "a number of seconds")


def detect(
    path: str | Path,
    model: SedModel | Detector | str | Path,
    threshold: float = 0.5,
    median_frames: int | None = None,
    hop_s: float | None = None,
    channel: str | int = "mix",
) -> list[Event]:
    """Events in a file, in order of onset; an event's score is the highest one inside it.

    Args:
        model: A model, which is put in evaluation mode; the name of a released one; or a file that holds one, an exported one too.
        threshold: A frame is active from this probability on, in (0, 1).
        median_frames: Window of the median filter on scores, odd, 1 for no filter; none for the one the model was evaluated with.
        hop_s: Seconds from one window of a long file to the next; none: four fifths of the length that the model was trained on.
        channel: Channel of the file: mix (the mean of all), first, or a number from 1.

    Raises:
        TypeError: If `path` is no path, or `model` no model.
        DataError: If the file cannot be decoded, or a score is not a number.
        ConfigError: If an option is not allowed, or the model's frame scores are untrained.
        CheckpointError: If `model` is a name or a file without usable weights.
    """
    return sorted(iterate_events(path, model, threshold, median_frames, hop_s, channel))


def iterate_events(
    path: str | Path,
    model: SedModel | Detector | str | Path,
    threshold: float = 0.5,
    median_frames: int | None = None,
    hop_s: float | None = None,
    channel: str | int = "mix",
) -> Iterator[Event]:
    """As `detect`, each event given out soon after it has ended, hence in order of offset; memory does not grow with the file's length."""
    options = DetectOptions(threshold, median_frames, hop_s, channel)
    if not isinstance(path, str | PathLike | EncodedAudio):
        given = f"{type(path).__module__.split('.')[0]}.{type(path).__name__}".removeprefix("builtins.")
        advice = "es.Stream(model).events([samples]) takes samples"
        raise TypeError(f"path must be that of an audio file, got {given}; {advice}")
    duration_s = audio_info(path).duration_s
    detector = open_detector(model)
    return decode_stream(
        score_file(path, detector, options, duration_s=duration_s),
        detector.classes,
        detector.grid,
        threshold,
        duration_s,
    )


def open_detector(
    model: SedModel | Detector | str | Path, num_threads: int | None = None, engine: str | None = None
) -> Detector:
    """A model, or one that has a name or lies in a file, as what finds events.

    Args:
        num_threads: Of a model that is loaded; none: as many as its engine takes by itself.
        engine: What runs an exported one, one of `efficient_sed.inference.engines.ENGINES`; none: onnxruntime.

    Raises:
        CheckpointError: If it is a name or a file without usable weights.
        ConfigError: If its frame scores are untrained, or there is no such engine.
        MissingDependencyError: If it is an exported one and its engine is not installed.
    """
    if isinstance(model, str | Path):
        if Path(model).suffix == EXPORTED_SUFFIX:
            from efficient_sed.inference.onnx_model import OnnxModel

            exported = OnnxModel(model, num_threads, engine or DEFAULT_ENGINE)
            check_task(exported.task)
            return exported
        if engine is not None:
            raise ConfigError(
                f"--engine {engine} runs exported models, and {model} is none; make one by: efficient-sed export {model} --format onnx"
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
    heard: Callable[[float], object] = bool,
    duration_s: float | None = None,
) -> Iterator[np.ndarray]:
    """Smoothed probabilities (frames, classes) of a file in consecutive pieces.

    Args:
        heard: Told how many seconds of the file have been scored, after each window.
        duration_s: Where to stop; default None, at its end, which moves on while somebody records.
    """
    duration_s = audio_info(path).duration_s if duration_s is None else duration_s
    pieces = _score_windows(path, detector, options, heard, duration_s)
    return smooth_stream(
        join_windows(pieces), detector.median_frames if options.median_frames is None else options.median_frames
    )


def read_windows(
    path: str | Path,
    window_s: float,
    grid: FrameGrid,
    duration_s: float,
    hop_s: float | None = None,
    channel: str | int = "mix",
) -> Iterator[tuple[Window, np.ndarray]]:
    """The first seconds of a file in windows of one length: waveforms (1, samples) at the grid's sample rate, a short one zero-padded.

    Raises:
        DataError: If the file cannot be decoded, or has less than these seconds.
    """
    length = round(window_s * grid.sample_rate)
    with AudioReader(path, sample_rate=grid.sample_rate, channel=parse_channel(channel)) as reader:
        for window in cut_windows(duration_s, window_s, grid, hop_s):
            samples = reader.read(window.start_s, window_s)[:length]  # at some rates one more
            end_s = window.start_s + len(samples) / grid.sample_rate
            if end_s < min(window.start_s + window_s, duration_s) - ROUNDING_S:
                raise DataError(f"{path}: became shorter while it was read: {end_s:g} s of {duration_s:g} s are there")
            yield window, np.pad(samples, (0, length - len(samples)))[None]


def _score_windows(
    path: str | Path, detector: Detector, options: DetectOptions, heard: Callable[[float], object], duration_s: float
) -> Iterator[tuple[Window, np.ndarray]]:
    """Probabilities (frames, classes) of each window; one at a time, so that a batch never changes a score."""
    is_loud = False
    windows = read_windows(path, detector.clip_seconds, detector.grid, duration_s, options.hop_s, options.channel)
    for window, waveform in windows:
        if not is_loud and (peak := np.abs(waveform).max()) > MAX_PEAK:
            is_loud = True
            logger.warning("%s: samples reach %g where [-1, 1] is expected; scores may mean nothing", path, peak)
        try:
            scores = detector.score_frames(waveform)[0]
        except CheckpointError as error:  # of an exported model, which looks at its scores itself
            raise CheckpointError(f"{path}: {error}") from error
        first_frame = round(window.start_s / detector.grid.hop_s)
        check_scores(str(path), scores, detector.classes, first_frame=first_frame)  # smoothing would hide NaN
        yield window, scores
        heard(window.start_s + detector.clip_seconds)
