"""Events in an audio file of any length, with the scores that evaluation would give it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from efficient_sed.audio.io import audio_info, read_audio
from efficient_sed.data.events import Event
from efficient_sed.data.windows import Window, cut_windows, join_windows
from efficient_sed.errors import ConfigError
from efficient_sed.evaluation.postprocess import decode_stream, smooth_stream
from efficient_sed.models._checkpoint import load_model
from efficient_sed.models._fuse import fuse
from efficient_sed.models.sed import SedModel


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

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ConfigError(f"threshold={self.threshold} is not allowed: a probability between 0 and 1, both excluded")
        if self.median_frames is not None and (self.median_frames < 1 or self.median_frames % 2 == 0):
            raise ConfigError(f"median_frames={self.median_frames} is not allowed: an odd number of frames, 1 for no filter")


def detect(path: str | Path, model: SedModel | str | Path, threshold: float = 0.5, median_frames: int | None = None, hop_s: float | None = None) -> list[Event]:
    """Events in a file, in order of onset; an event's score is the highest one inside it.

    Args:
        model: A model, which is put in evaluation mode; or the name of a released one, or a file that holds one.
        threshold: A frame is active from this probability on, in (0, 1).
        median_frames: Window of the median filter on scores, odd, 1 for no filter; none for the one the model was evaluated with.
        hop_s: Seconds from one window of a long file to the next; none: four fifths of the length that the model was trained on.

    Raises:
        DataError: If the file cannot be decoded.
        ConfigError: If an option is not allowed.
        CheckpointError: If `model` is a name or a file without usable weights.
    """
    return sorted(iterate_events(path, model, threshold, median_frames, hop_s))


def iterate_events(path: str | Path, model: SedModel | str | Path, threshold: float = 0.5, median_frames: int | None = None, hop_s: float | None = None) -> Iterator[Event]:
    """As `detect`, each event given out soon after it has ended, hence in order of offset; memory does not grow with the file's length."""
    options = DetectOptions(threshold, median_frames, hop_s)
    duration_s = audio_info(path).duration_s
    model = ready_model(model)
    return decode_stream(score_file(path, model, options), model.classes, model.grid, threshold, duration_s)


def ready_model(model: SedModel | str | Path) -> SedModel:
    """A model that can detect.

    Raises:
        CheckpointError: If it is a name or a file without usable weights.
        ConfigError: If its frame scores are untrained.
    """
    if not isinstance(model, SedModel):
        model = load_model(str(model))
    if model.provenance.task != "detection":
        raise ConfigError("the model was trained on clip labels only: its frame scores are random; fine-tune it first, as backbone.init=NAME of a training")
    return model


def score_file(path: str | Path, model: SedModel, options: DetectOptions, heard: Callable[[float], object] = bool) -> Iterator[np.ndarray]:
    """Smoothed probabilities (frames, classes) of a file in consecutive pieces.

    Args:
        heard: Told how many seconds of the file have been scored, after each window.
    """
    fused = fuse(model.eval())
    pieces = _score_windows(path, fused, options.hop_s, heard)
    return smooth_stream(join_windows(pieces), model.provenance.median_frames if options.median_frames is None else options.median_frames)


def read_windows(path: str | Path, model: SedModel, hop_s: float | None = None) -> Iterator[tuple[Window, Tensor]]:
    """The file in windows of the length the model was trained on: waveforms (1, samples) at the model's sample rate, a short one zero-padded."""
    window_s = model.provenance.clip_seconds
    length = round(window_s * model.grid.sample_rate)
    for window in cut_windows(audio_info(path).duration_s, window_s, model.grid, hop_s):
        samples = read_audio(path, window.start_s, window_s, sample_rate=model.grid.sample_rate)
        yield window, torch.nn.functional.pad(samples, (0, length - len(samples)))[None]


def _score_windows(path: str | Path, model: SedModel, hop_s: float | None, heard: Callable[[float], object]) -> Iterator[tuple[Window, np.ndarray]]:
    """Probabilities (frames, classes) of each window; one at a time, so that a batch never changes a score."""
    device = next(model.parameters()).device
    for window, waveform in read_windows(path, model, hop_s):
        yield window, model.score_frames(waveform.to(device))[0].cpu().numpy()
        heard(window.start_s + model.provenance.clip_seconds)
