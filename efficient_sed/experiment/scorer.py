"""What computes the scores of an evaluation: PyTorch, or an engine for exported models, see `evaluation.engine`."""

from __future__ import annotations

import logging

import torch

from efficient_sed.config.evaluation import AUTO, TORCH
from efficient_sed.config.run import RunConfig
from efficient_sed.data.events import Splits
from efficient_sed.data.storage.columns import durations
from efficient_sed.errors import CheckpointError
from efficient_sed.export.engine_file import DEFAULT_ENGINE, PAYS_FROM_S, is_installed, open_model
from efficient_sed.inference.exported_model import ExportedModel
from efficient_sed.models.names import architecture_name
from efficient_sed.models.sed import SedModel

logger = logging.getLogger(__name__)
Scorer = SedModel | ExportedModel


def open_scorer(model: Scorer, splits: Splits, config: RunConfig, *parts: str) -> Scorer:
    """What computes a model's scores: the model itself, or its exported form in an engine on the CPU.

    Args:
        model: The model.
        splits: The data.
        config: With `evaluation.engine`.
        parts: Of the data that will be scored.

    Raises:
        CheckpointError: If a named engine has other scores than PyTorch, or the model cannot be exported for it.
        ConfigError: If it does not compute in float32.
        MissingDependencyError: Without a package of the named engine.
    """
    engine = config.evaluation.engine
    if isinstance(model, ExportedModel) or engine == TORCH:
        return model
    if engine != AUTO:
        return _open(model, engine)
    seconds = sum(float(durations(getattr(splits, part)).sum()) for part in set(parts))
    is_on_cpu = next(model.parameters()).device.type == "cpu"
    if not is_on_cpu or seconds < PAYS_FROM_S or not is_installed(DEFAULT_ENGINE):
        return model
    try:
        return _open(model, DEFAULT_ENGINE)
    except CheckpointError as error:
        logger.warning("PyTorch computes the scores: %s", error)
        return model


def _open(model: SedModel, engine: str) -> ExportedModel:
    name = architecture_name(model.spec.backbone, model.spec.seq, model.provenance.clip_seconds)
    opened = open_model(model, name, engine, torch.get_num_threads())
    logger.info("%s computes the scores", opened.engine)
    return opened


def engine_of(scorer: Scorer) -> str:
    """Name and version, such as "onnxruntime 1.31.1"."""
    return scorer.engine if isinstance(scorer, ExportedModel) else f"torch {torch.__version__}"
