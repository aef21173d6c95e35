"""The JSON that rebuilds a model without its weights; stored beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from efficient_sed.config.model import BackboneConfig, ClassifierConfig, SequenceHeadConfig
from efficient_sed.config.parse import from_dict
from efficient_sed.config.values import to_dict
from efficient_sed.data.labels import label_problem
from efficient_sed.errors import CheckpointError, ConfigError
from efficient_sed.models.sed import ModelSpec, Provenance, SedModel
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS

FORMAT = "efficient_sed/1"
HEADER_KEY = "efficient_sed"
"""Of a safetensors file's metadata."""


def model_header(model: SedModel) -> dict[str, Any]:
    """Plain values that rebuild a model without its weights."""
    spec = model.spec
    return {
        "format": FORMAT,
        "backbone": to_dict(spec.backbone) | {"init": None},
        "seq": to_dict(spec.seq),
        "classes": list(spec.classes),
        **({} if spec.pooling == "mean" else {"pooling": spec.pooling}),
        "provenance": asdict(model.provenance),
    }


def spec_from_header(header: Mapping[str, Any], path: Path | str) -> ModelSpec:
    """Parts and classes that a stored header describes.

    Args:
        header: What `model_header` gave.
        path: Where it came from, for messages.

    Raises:
        CheckpointError: If it describes no model of this version.
    """
    try:
        backbone: BackboneConfig = from_dict(BACKBONES.get(header["backbone"]["name"]), header["backbone"], "backbone")
        seq: SequenceHeadConfig = from_dict(SEQUENCE_HEADS.get(header["seq"]["name"]), header["seq"], "seq")
        classes = header["classes"]
        if not isinstance(classes, list) or not classes or (problem := label_problem(classes)):
            raise TypeError(problem if isinstance(classes, list) and classes else "classes is no list of labels")
        classifier = from_dict(ClassifierConfig, {"pooling": header.get("pooling", "mean")}, "classifier")
        return ModelSpec(backbone, seq, tuple(classes), classifier.pooling)
    except (ConfigError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: its header does not describe a model of this version ({error})") from error


def provenance_from_header(header: Mapping[str, Any], path: Path) -> Provenance:
    """What a stored header says of the weights' origin.

    Raises:
        CheckpointError: If it says nothing of it.
    """
    try:
        return from_dict(Provenance, header["provenance"], "provenance")
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its header does not say where the weights come from ({error})") from error
