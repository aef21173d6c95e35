"""A detector in an ONNX file, run by onnxruntime and numpy alone: PyTorch is not imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from efficient_sed.errors import CheckpointError, ConfigError, require_package
from efficient_sed.export.header import CLIP_SCORES, FORMAT, FORMAT_KEY, FRAME_SCORES, Header, header_from_metadata


class OnnxModel:
    """What a `SedModel` tells and computes, from a file that `efficient-sed export` wrote with waveform input.

    Args:
        num_threads: Of onnxruntime; none: as many as the machine has cores.

    Raises:
        CheckpointError: If the file is missing, damaged, not one of this package, or takes spectrograms.
        MissingDependencyError: Without the package onnxruntime.
    """

    def __init__(self, path: str | Path, num_threads: int | None = None) -> None:
        path = Path(path)
        if not path.is_file():
            raise CheckpointError(f"{path}: no such file")
        self._session = open_session(path, num_threads)
        self.header = _read_header(path, self._session)
        if self.header.input != "waveform":
            raise CheckpointError(f"{path}: takes spectrograms and cannot hear a recording; export {self.header.model_name} with --input waveform")
        self.classes = list(self.header.classes)
        self.grid = self.header.grid
        self.clip_seconds = self.header.clip_seconds
        self.median_frames = self.header.median_frames
        self.threshold = self.header.threshold
        self.task = self.header.task

    def score_frames(self, waveform: np.ndarray) -> np.ndarray:
        """Probabilities (batch, frames, classes) for a float32 waveform (batch, samples) at the grid's sample rate.

        Raises:
            ValueError: If the waveform has another shape or is too short for a frame, or too long for the model.
        """
        return self._run(FRAME_SCORES, waveform).transpose(0, 2, 1)

    def score_clips(self, waveform: np.ndarray) -> np.ndarray:
        """Probabilities (batch, classes); otherwise as `score_frames`."""
        return self._run(CLIP_SCORES, waveform)

    def _run(self, output: str, waveform: np.ndarray) -> np.ndarray:
        if waveform.ndim != 2 or waveform.shape[1] < self.header.min_samples:
            raise ValueError(f"waveform must have shape (batch, samples) with at least {self.header.min_samples} samples, got {waveform.shape}")
        if self.header.max_samples is not None and waveform.shape[1] > self.header.max_samples:
            raise ValueError(f"waveform must have at most {self.header.max_samples} samples, got {waveform.shape[1]}; score longer audio in windows")
        clips = np.split(np.ascontiguousarray(waveform, dtype=np.float32), len(waveform))  # at once they take a quarter longer on a CPU
        return np.concatenate([self._session.run([output], {self.header.input: clip})[0] for clip in clips])


def open_session(model: Path | bytes, num_threads: int | None = None) -> Any:
    """An onnxruntime session on the CPU.

    Raises:
        CheckpointError: If onnxruntime cannot read the model.
        MissingDependencyError: Without the package onnxruntime.
    """
    require_package("running an ONNX file", "onnxruntime", "onnx")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # nothing below a crash: errors are raised
    options.intra_op_num_threads = num_threads or 0
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except runtime_errors() as error:
        name = model if isinstance(model, Path) else "the exported graph"
        raise CheckpointError(f"{name}: onnxruntime cannot read it, damaged or no ONNX file ({str(error).splitlines()[0]})") from error


def runtime_errors() -> tuple[type[Exception], ...]:
    """What onnxruntime raises; its errors have no base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    return errors.Fail, errors.InvalidProtobuf, errors.InvalidGraph, errors.InvalidArgument, errors.NotImplemented, errors.RuntimeException


def _read_header(path: Path, session: Any) -> Header:
    metadata = session.get_modelmeta().custom_metadata_map
    found = metadata.get(FORMAT_KEY)
    if found is None:
        raise CheckpointError(f"{path}: has no metadata of this package; make it by: efficient-sed export MODEL --format onnx")
    if found != FORMAT:
        raise CheckpointError(f"{path}: format {found!r} is not known here; this version reads {FORMAT}")
    try:
        return header_from_metadata(metadata)
    except (ConfigError, ValueError) as error:
        raise CheckpointError(f"{path}: its metadata does not describe a model of this version ({error})") from error
