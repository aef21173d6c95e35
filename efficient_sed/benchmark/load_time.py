"""How long a model takes to load."""

from __future__ import annotations

import logging
import statistics
import tempfile
from functools import partial
from pathlib import Path

from efficient_sed.benchmark.clock import Clock, seconds_of
from efficient_sed.errors import CheckpointError
from efficient_sed.models.sed import SedModel
from efficient_sed.models.weights.checkpoint import load_model, save_model

logger = logging.getLogger(__name__)
REPEATS = 3


def measure_load_ms(model: SedModel, clock: Clock = "wall") -> float | None:
    """Median milliseconds in which `load_model` loads the model's weights from a file that was just written.

    None, with a warning, if there is no room for the file, or a file of such sizes is not loaded.
    """
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.safetensors"
            save_model(model, path)
            seconds = [seconds_of(partial(load_model, str(path)), clock=clock) for _ in range(REPEATS)]
    except (CheckpointError, OSError) as error:
        logger.warning("the time to load is left out: %s", error)
        return None
    return round(1e3 * statistics.median(seconds), 1)
