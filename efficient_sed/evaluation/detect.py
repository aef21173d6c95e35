"""Events in an audio file of any length, with the scores that evaluation would give it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from efficient_sed.audio.io import audio_info, read_audio
from efficient_sed.data.events import Event
from efficient_sed.data.windows import Window, cut_windows
from efficient_sed.errors import ConfigError
from efficient_sed.evaluation.postprocess import decode_stream, smooth_stream
from efficient_sed.models._checkpoint import load_model
from efficient_sed.models._fuse import fuse
from efficient_sed.models.sed import SedModel


def detect(path: str | Path, model: SedModel | str | Path, threshold: float = 0.5, median_frames: int | None = None) -> list[Event]:
    """Events in a file, in order of onset; an event's score is the highest one inside it.

    Args:
        model: A model, which is put in evaluation mode; or the name of a released one, or a file that holds one.
        threshold: A frame is active from this probability on, in (0, 1).
        median_frames: Window of the median filter on scores, odd, 1 for no filter; none for the one the model was evaluated with.

    Raises:
        DataError: If the file cannot be decoded.
        ConfigError: If threshold or median_frames is not allowed.
        CheckpointError: If `model` is a name or a file without usable weights.
    """
    return sorted(iterate_events(path, model, threshold, median_frames))


def iterate_events(path: str | Path, model: SedModel | str | Path, threshold: float = 0.5, median_frames: int | None = None) -> Iterator[Event]:
    """As `detect`, each event given out soon after it has ended, hence in order of offset; memory does not grow with the file's length."""
    if not 0 < threshold < 1:
        raise ConfigError(f"threshold={threshold} is not allowed: a probability between 0 and 1, both excluded")
    if median_frames is not None and (median_frames < 1 or median_frames % 2 == 0):
        raise ConfigError(f"median_frames={median_frames} is not allowed: an odd number of frames, 1 for no filter")
    duration_s = audio_info(path).duration_s
    if not isinstance(model, SedModel):
        model = load_model(str(model))
    if model.provenance.task != "detection":
        raise ConfigError("the model was trained on clip labels only: its frame scores are random; fine-tune it first, as backbone.init=NAME of a training")
    smoothed = smooth_stream(_score_windows(path, fuse(model.eval())), model.provenance.median_frames if median_frames is None else median_frames)
    return decode_stream(smoothed, model.classes, model.grid, threshold, duration_s)


def read_windows(path: str | Path, model: SedModel) -> Iterator[tuple[Window, Tensor]]:
    """The file in windows of the length the model was trained on: waveforms (1, samples) at the model's sample rate, the last one zero-padded."""
    window_s = model.provenance.clip_seconds
    length = round(window_s * model.grid.sample_rate)
    for window in cut_windows(audio_info(path).duration_s, window_s, model.grid):
        samples = read_audio(path, window.start_s, window_s, sample_rate=model.grid.sample_rate)
        yield window, torch.nn.functional.pad(samples, (0, length - len(samples)))[None]


def _score_windows(path: str | Path, model: SedModel) -> Iterator[np.ndarray]:
    """Probabilities (frames, classes) of consecutive parts; one window at a time, so that a batch never changes a score."""
    device = next(model.parameters()).device
    for window, waveform in read_windows(path, model):
        yield model.score_frames(waveform.to(device))[0, window.first : window.last].cpu().numpy()
