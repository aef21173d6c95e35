"""A detector in an exported file, run without PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from pathlib import Path

import numpy as np

from efficient_sed.audio.waveform_checks import check_waveform
from efficient_sed.errors import CheckpointError, ShapeError
from efficient_sed.inference.engines.contract import engines_for, open_engine, shown_name
from efficient_sed.inference.header import CLIP_SCORES, FRAME_SCORES, read_header
from efficient_sed.inference.self_test import SelfTest, create_sound
from efficient_sed.postprocessing.carried import Postprocessing


class ExportedModel:
    """An exported model as a `Detector`.

    A file that takes inputs of one length is given silence behind a shorter waveform, and the scores of that silence
    are left out. `detect` and evaluation fill all windows up to whole clips anyway, for PyTorch too: the events are the
    same. `Stream` does not: until a clip is there, the network sees silence where PyTorch's sees the border of the
    sound, so the last frames of these passes differ. Scores of a clip shorter than that are those with the silence.

    Args:
        model: The file, or its content.
        num_threads: Of the engine; default None, as many as the machine has cores.
        engine: Name in `ENGINES`; default None, the default one for the file's ending.
        is_tested: Whether the engine must pass the file's self-test, about a second of sound; else it is only measured.

    Raises:
        CheckpointError: If the file is missing, damaged, or not one of this package, or the engine gives other scores
            here than PyTorch gave where the file was made.
        ConfigError: If there is no such engine.
        MissingDependencyError: Without the engine's package.
    """

    def __init__(
        self,
        model: str | Path | bytes,
        num_threads: int | None = None,
        engine: str | None = None,
        *,
        is_tested: bool = True,
    ) -> None:
        model = model if isinstance(model, bytes) else Path(model)
        self.path = shown_name(model)
        if isinstance(model, Path) and not model.is_file():
            raise CheckpointError(f"{self.path}: no such file")
        self.session = open_engine(model, num_threads, engine)
        self.engine, self.can_fork = self.session.version, self.session.can_fork
        self.header = read_header(self.path, self.session.metadata)
        self.spectrogram: Callable[[np.ndarray], np.ndarray] | None = self.header.spectrogram
        """The front end, from (batch, samples) to (batch, 1, mel_bins, frames); None where the file has it."""
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
        self.allowed_difference = inf if not is_tested else max(self.self_test.tolerance, self.session.tolerance)
        """In the self-test, as a share of its highest score."""
        self.self_test_difference = self.run_self_test()

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

    @property
    def self_test(self) -> SelfTest:
        """The file's self-test.

        Raises:
            CheckpointError: If it has none.
        """
        if self.header.self_test is None:
            raise CheckpointError(f"{self.path}: has no self-test; make it again by: efficient-sed export MODEL")
        return self.header.self_test

    def run_self_test(self) -> float:
        """The largest difference that the engine has, see `SelfTest.difference`.

        Raises:
            CheckpointError: If it is larger than `allowed_difference`, or the file is damaged or has no self-test.
        """
        test = self.self_test
        difference = test.difference(*self.score(create_sound(test.samples)))
        if not difference <= self.allowed_difference:
            others = [name for name in engines_for(self.session.suffix) if name != self.session.name]
            advice = f"give --engine {others[0]}" if others else f"install another version of {self.session.name}"
            raise CheckpointError(
                f"{self.path}: {self.engine} gives wrong scores on this machine: in the self-test they differ from "
                f"PyTorch's by {difference:.1e} of the highest one, of which {self.allowed_difference:.1e} is allowed; "
                f"{advice}"
            )
        return difference

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
        inputs = clips if self.spectrogram is None else [self.spectrogram(clip) for clip in clips]
        given = list(zip(*(self.session.run(outputs, {self.header.input: x}) for x in inputs), strict=True))
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
