"""What a backbone costs and gives, counted once for all the models that have it, and what a head adds."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from efficient_sed.benchmark.macs import count_macs, count_module_macs
from efficient_sed.config.model import BackboneConfig, Pooling, SequenceHeadConfig
from efficient_sed.data.labels import default_classes
from efficient_sed.models.sed import ModelSpec, SedModel, build_head
from efficient_sed.models.sequence.identity import IdentityConfig


class KnownBackbone(NamedTuple):
    """For a clip of 10 s."""

    shape: torch.Size
    """Of the features, (1, time, dim)."""
    num_params: int
    """With those of the front end."""
    macs: int


def count_backbone(config: BackboneConfig) -> KnownBackbone:
    """Count a backbone without drawing its weights, by shapes alone."""
    shapes: list[torch.Size] = []

    def keep_shape(backbone: nn.Module, inputs: Any, features: Tensor) -> Tensor:  # noqa: ARG001 (a hook's signature)
        shapes.append(features.shape)
        return torch.zeros(features.shape)

    with torch.device("meta"):
        model = SedModel(ModelSpec(config, IdentityConfig(), ("any",)))
    for part in (model.frontend, model.classifier):
        part.to_empty(device="cpu")
    model.backbone.register_forward_pre_hook(lambda _, inputs: inputs[0].to("meta"))
    model.backbone.register_forward_hook(keep_shape)
    macs = count_macs(model).by_part["backbone"]
    return KnownBackbone(
        shapes[-1],
        sum(parameter.numel() for part in (model.frontend, model.backbone) for parameter in part.parameters()),
        macs,
    )


def count_head(
    known: KnownBackbone,
    backbone: BackboneConfig,
    seq: SequenceHeadConfig,
    num_classes: int,
    pooling: Pooling = "mean",
) -> tuple[int, int]:
    """Parameters and MACs of sequence head and classifier.

    Built without drawing weights, and run on whatever the memory holds: the meta device takes seconds for recurrent
    layers.
    """
    spec = ModelSpec(backbone, seq, default_classes(num_classes), pooling)
    with torch.device("meta"):
        behind = nn.Sequential(*build_head(spec, known.shape[-1]))
    behind.to_empty(device="cpu")
    return sum(parameter.numel() for parameter in behind.parameters()), count_module_macs(
        behind, torch.zeros(known.shape)
    )
