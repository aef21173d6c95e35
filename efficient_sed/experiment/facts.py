"""What a result and a model file say about where they come from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from efficient_sed.config.run import RunConfig
from efficient_sed.config.values import to_dict
from efficient_sed.data.events import Splits
from efficient_sed.experiment.folders import fold_of_config, signature
from efficient_sed.machine.environment import describe_environment, device_name
from efficient_sed.models.names import model_name
from efficient_sed.models.sed import SedModel
from efficient_sed.models.weights.checkpoint import MODEL_FILE, save_model


def describe_data(config: RunConfig, splits: Splits) -> dict[str, Any]:
    """Name, hash and coverage of a data set."""
    return {
        "name": config.data.name,
        "fold": fold_of_config(config),
        "manifest_hash": splits.manifest_hash,
        "clips": {part: len(getattr(splits, part)) for part in splits.parts},
        "clips_expected": None if splits.expected is None else dict(splits.expected),
        "subsets": {name: {"clips": here, "clips_expected": all_} for name, (here, all_) in splits.subsets.items()},
        "num_classes": len(splits.classes),
        **({} if splits.evaluated_classes is None else {"num_classes_evaluated": len(splits.evaluated_classes)}),
        "skipped": list(splits.skipped),
        "events_cut": {part: overhang._asdict() for part, overhang in splits.overhang.items()},
    }


def describe_run(
    config: RunConfig, splits: Splits, training: Mapping[str, Any], device: torch.device
) -> dict[str, Any]:
    """The part of a result that a training leaves: model, configuration, data, training and environment.

    "training" holds the options of the evaluation by which the epoch was chosen. They stay when a run is evaluated
    again with others, and "config" has the new ones.
    """
    return {
        "model": model_name(config),
        "backbone": config.backbone.name,
        "head": config.seq.name,
        "hidden": getattr(config.seq, "hidden", None),
        "task": config.task,
        "seed": config.seed,
        "signature": signature(config, splits.manifest_hash),
        "training": {**training, "evaluation": to_dict(config.evaluation)},
        "data": describe_data(config, splits),
        "config": to_dict(config),
        "environment": describe_environment(device_name(device)),
    }


def describe_measuring(options: Any, environment: Mapping[str, Any]) -> dict[str, Any]:
    """When, on what and with which options a run was measured.

    Args:
        options: `RunConfig.evaluation` or `RunConfig.benchmark`.
        environment: As `describe_environment` gives it.
    """
    return {"options": to_dict(options), **{key: environment[key] for key in ("created", "commit", "device")}}


def save_run_model(model: SedModel, config: RunConfig, folder: Path, result: Mapping[str, Any]) -> None:
    """Write a run's model with notes on where it comes from."""
    fold = fold_of_config(config)
    notes = {
        "trained_on": config.data.name,
        **({"extended_from": config.train.init_from} if config.train.extend_classes else {}),
        **({} if fold is None else {"fold": fold}),
        "task": config.task,
        "seed": config.seed,
        "signature": result["signature"],
        "manifest_hash": result["data"]["manifest_hash"],
        "commit": result["environment"]["commit"],
    }
    tuned = (result.get("tuning") or {}).get("postprocessing", {})
    model.provenance = dataclasses.replace(model.provenance, notes=notes, postprocessing=tuned)
    save_model(model, folder / MODEL_FILE)
