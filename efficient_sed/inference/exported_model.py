"""A detector in an exported file, run without PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from efficient_sed.audio.waveform_checks import check_waveform
from efficient_sed.errors import CheckpointError, ShapeError
from efficient_sed.inference.engines.contract import open_engine
from efficient_sed.inference.header import CLIP_SCORES, FRAME_SCORES, read_header
from efficient_sed.postprocessing.carried import Postprocessing


class ExportedModel:
    """An exported model as a `Detector`.

    A file that takes inputs of one length is given silence behind a shorter waveform, and the scores of that silence
    are left out. `detect` and evaluation fill all windows up to whole clips anyway, for PyTorch too: the events are the
    same. `Stream` does not: until a clip is there, the network sees silence where PyTorch's sees the border of the
    sound, so the last frames of these passes differ. Scores of a clip shorter than that are those with the silence.

    Args:
        path: The file.
        num_threads: Of the engine; default None, as many as the machine has cores.
        engine: Name in `ENGINES`; default None, the default one for the file's ending.

    Raises:
        CheckpointError: If the file is missing, damaged, or not one of this package.
        ConfigError: If there is no such engine.
        MissingDependencyError: Without the engine's package.
    """

    def __init__(self, path: str | Path, num_threads: int | None = None, engine: str | None = None) -> None:
        self.path = path = Path(path)
        if not path.is_file():
            raise CheckpointError(f"{path}: no such file")
        self._engine = open_engine(path, num_threads, engine)
        self.engine, self.can_fork = self._engine.version, self._engine.can_fork
        self.header = read_header(path, self._engine.metadata)
        self.classes = list(self.header.classes)
        self.grid = self.header.grid
        self.clip_seconds = self.header.clip_seconds
        self.median_frames = self.header.median_frames
        self.postprocessing = Postprocessing.of(
            self.header.postprocessing, self.median_frames, len(self.classes), self.grid.hop_s
        )
        self.threshold = self.header.threshold
        self.task = self.header.task
        self.min_samples = self.header.min_samples

    def score_frames(self, waveform: np.ndarray) -> np.ndarray:
        """Probabilities (batch, frames, classes) for a float32 waveform (batch, samples) at the grid's sample rate.

        Raises:
            TypeError: If the waveform is no array of floating-point numbers.
            ShapeError: If it has another shape or is too short for a frame, or too long for the model.
            CheckpointError: If the file is damaged: its scores have another shape or are not finite.
        """
        return self._run([FRAME_SCORES], waveform)[0].transpose(0, 2, 1)

    def score_clips(self, waveform: np.ndarray) -> np.ndarray:
        """Probabilities (batch, classes); otherwise as `score_frames`."""
        return self._run([CLIP_SCORES], waveform)[0]

    def score(self, waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities of frames (batch, classes, frames) and clips (batch, classes); else as `score_frames`."""
        frames, clips = self._run([FRAME_SCORES, CLIP_SCORES], waveform)
        return frames, clips

    def _run(self, outputs: list[str], waveform: np.ndarray) -> list[np.ndarray]:
        is_float = isinstance(waveform, np.ndarray) and waveform.dtype.kind == "f"
        check_waveform(waveform, np.ndarray, self.min_samples, is_float=is_float)
        longest = self.header.longest_samples
        if longest is not None and waveform.shape[1] > longest:
            raise ShapeError(
                f"waveform must have at most {longest} samples, got {waveform.shape[1]}; score longer audio in windows"
            )
        padding = 0 if self.header.fixed_samples is None else self.header.fixed_samples - waveform.shape[1]
        padded = np.pad(waveform.astype(np.float32), ((0, 0), (0, padding)))
        clips = np.split(padded, len(padded))  # at once they take a quarter longer on a CPU
        spectrogram = self.header.spectrogram
        inputs = clips if spectrogram is None else [spectrogram(clip) for clip in clips]
        given = list(zip(*(self._engine.run(outputs, {self.header.input: x}) for x in inputs), strict=True))
        scores = [np.concatenate(pieces) for pieces in given]
        num_frames = self.grid.num_frames(waveform.shape[1])
        shapes = {
            FRAME_SCORES: (len(waveform), len(self.classes), self.grid.num_frames(padded.shape[1])),
            CLIP_SCORES: (len(waveform), len(self.classes)),
        }
        for output, array in zip(outputs, scores, strict=True):
            if array.shape != shapes[output]:
                problem = f"its {output} have shape {array.shape}, not {shapes[output]}"
                raise CheckpointError(f"{self.path}: damaged: {problem}")
            if not np.isfinite(array).all():
                clip, column, *frame = np.argwhere(~np.isfinite(array))[0].tolist()
                place = "".join(f" in frame {number}" for number in frame) + (
                    f" of clip {clip}" if len(array) > 1 else ""
                )
                value = f"{array[clip, column, *frame]}{place}"
                problem = f"a score of class {self.classes[column]!r} is not a finite number ({value})"
                raise CheckpointError(f"{self.path}: damaged: {problem}")
        return [array[:, :, :num_frames] if array.ndim == 3 else array for array in scores]
