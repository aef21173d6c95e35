"""Benchmark framework for low-complexity sound event detection. Everything is imported on first use."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from efficient_sed.benchmark.macs import count_macs as count_macs
    from efficient_sed.benchmark.model_list import list_models as list_models
    from efficient_sed.data.events import Event as Event
    from efficient_sed.data.scores.clips import ScoreTables as ScoreTables
    from efficient_sed.experiment.score_tables import score_tables as score_tables
    from efficient_sed.inference.detect import detect as detect
    from efficient_sed.inference.stream import Stream as Stream
    from efficient_sed.metrics.psds.score import psds1 as psds1
    from efficient_sed.models.dcls import replace_depthwise as replace_depthwise
    from efficient_sed.models.factory import create_model as create_model
    from efficient_sed.models.fuse import fuse as fuse
    from efficient_sed.models.weights.checkpoint import load_model as load_model
    from efficient_sed.models.weights.checkpoint import save_model as save_model
    from efficient_sed.postprocessing.carried import Postprocessing as Postprocessing

__version__ = "0.1.0"
# ONNX Runtime 1.31 sends reports from a thread of every process that imports it, which Lightning does; =0 lets it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# PyTorch's threads wait in a loop for each other, for milliseconds: on a busy machine for one that does not run.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

_PUBLIC = {
    "Event": "efficient_sed.data.events",
    "Postprocessing": "efficient_sed.postprocessing.carried",
    "ScoreTables": "efficient_sed.data.scores.clips",
    "Stream": "efficient_sed.inference.stream",
    "count_macs": "efficient_sed.benchmark.macs",
    "create_model": "efficient_sed.models.factory",
    "detect": "efficient_sed.inference.detect",
    "fuse": "efficient_sed.models.fuse",
    "list_models": "efficient_sed.benchmark.model_list",
    "load_model": "efficient_sed.models.weights.checkpoint",
    "psds1": "efficient_sed.metrics.psds.score",
    "replace_depthwise": "efficient_sed.models.dcls",
    "save_model": "efficient_sed.models.weights.checkpoint",
    "score_tables": "efficient_sed.experiment.score_tables",
}
__all__ = ["__version__", *_PUBLIC]  # noqa: PLE0604 (names are strings)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'efficient_sed' has no attribute {name!r}; it has: {', '.join(sorted(__all__))}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
