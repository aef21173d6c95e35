"""The clips whose activations set the ranges of integers."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np

from efficient_sed.config.run import RunConfig
from efficient_sed.data.dataset import EvaluationWindows, collate
from efficient_sed.data.events import Splits
from efficient_sed.export.check import as_input
from efficient_sed.inference.evaluate import handle_unreadable
from efficient_sed.inference.header import Header
from efficient_sed.models.sed import SedModel

logger = logging.getLogger(__name__)
CALIBRATION_CLIPS = 64


def calibration_clips(model: SedModel, splits: Splits, config: RunConfig, header: Header) -> Iterator[np.ndarray]:
    """Inputs of one clip each from all over the training part, as a file takes them."""
    windows = EvaluationWindows(splits.train, splits.classes, model.grid, config.data.clip_seconds)
    places = np.linspace(0, len(windows) - 1, CALIBRATION_CLIPS).round() if len(windows) else np.zeros(0)
    unreadable: list[str] = []
    for index in np.unique(places.astype(int)):
        batch = collate([windows[int(index)]])
        handle_unreadable(batch, config.data.on_error, unreadable)
        for waveform in batch.waveform[:, None]:
            yield as_input(model, header, waveform).numpy()
    for message in unreadable:
        logger.warning("not calibrated with: %s", message)
