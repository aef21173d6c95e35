"""A PyTorch model as a detector: fused, on the device that it lies on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from efficient_sed.errors import CheckpointError, ConfigError
from efficient_sed.inference.detector import ScoreNew, check_task
from efficient_sed.machine.environment import choose_device
from efficient_sed.models.contracts import CausalHead, State
from efficient_sed.models.fuse import fuse
from efficient_sed.models.sed import SedModel
from efficient_sed.models.weights.checkpoint import load_model
from efficient_sed.postprocessing.carried import Postprocessing


class TorchDetector:
    """A PyTorch model as a `Detector`.

    Args:
        model: It is put in evaluation mode.

    Raises:
        ConfigError: If its frame scores are untrained, or the post-processing that it carries is damaged.
    """

    def __init__(self, model: SedModel) -> None:
        check_task(model.provenance.task)
        self._model = fuse(model.eval())
        self._device = next(model.parameters()).device
        self.classes, self.grid = model.classes, model.grid
        self.clip_seconds, self.median_frames = model.provenance.clip_seconds, model.provenance.median_frames
        self.postprocessing = Postprocessing.of(
            model.provenance.postprocessing, self.median_frames, len(self.classes), self.grid.hop_s
        )
        self.min_samples = max(model.frontend.min_samples, model.grid.first_frame_samples)

    def score_frames(self, waveform: np.ndarray) -> np.ndarray:
        """See `Detector.score_frames`."""
        scores: np.ndarray = self._model.score_frames(torch.from_numpy(waveform).to(self._device)).cpu().numpy()
        return scores

    def continued(self) -> ScoreNew | None:
        """A function that scores one stream from the state of a causal head; None for other heads."""
        head = self._model.sequence
        if not isinstance(head, CausalHead):
            return None
        state: State | None = None

        @torch.inference_mode()
        def score_new(waveform: np.ndarray, first: int, until: int) -> np.ndarray:
            nonlocal state
            features = self._model.backbone(self._model.frontend(torch.from_numpy(waveform).to(self._device)))
            output, state = head.stream(features[:, first:until], state)
            scores: np.ndarray = self._model.classifier(output).frame_logits[0].float().sigmoid().T.cpu().numpy()
            return scores

        return score_new


def load_detector(name: str, num_threads: int | None = None) -> TorchDetector:
    """Load the detector of a name or checkpoint file, onto the GPU if there is one.

    Args:
        name: Released name or checkpoint file.
        num_threads: Of this process on a CPU; default None, as they are.

    Raises:
        CheckpointError: If there are no such weights, or the post-processing that they carry is damaged.
        ConfigError: If its frame scores are untrained.
    """
    if num_threads is not None:
        torch.set_num_threads(num_threads)
    model = ready_model(name)
    try:
        return TorchDetector(model)
    except ConfigError as error:
        raise CheckpointError(f"{name}: its post-processing is damaged ({error})") from error


def ready_model(model: SedModel | str | Path) -> SedModel:
    """A model with trained frame scores; a name or a file is loaded, onto the GPU if there is one.

    Raises:
        CheckpointError: If it is a name or a file without usable weights.
        ConfigError: If its frame scores are untrained.
    """
    if not isinstance(model, SedModel):
        model = load_model(str(model)).to(choose_device("auto", "device"))
    check_task(model.provenance.task)
    return model
