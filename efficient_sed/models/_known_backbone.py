"""A backbone that is counted once, for all the models that have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from efficient_sed.benchmark.macs import count_macs
from efficient_sed.config.schema import BackboneConfig
from efficient_sed.models.contracts import Backbone
from efficient_sed.models.sed import ModelSpec, SedModel
from efficient_sed.models.sequence.identity import IdentityConfig


class KnownBackbone(Backbone):
    """Gives features of the right shape for a clip of 10 s, and knows what the layers would have cost.

    Attributes:
        shape: Of the features.
        num_params: Of the layers, and of the front end.
        macs: Of the layers.
    """

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self._config = config
        with torch.device("meta"):  # shapes alone
            model = SedModel(ModelSpec(config, IdentityConfig(), ("any",)))
        for part in (model.frontend, model.classifier):
            part.to_empty(device="cpu")
        self.shape = torch.Size()
        model.backbone.register_forward_pre_hook(lambda _, inputs: inputs[0].to("meta"))
        model.backbone.register_forward_hook(self._keep_shape)
        self.num_params = sum(parameter.numel() for part in (model.frontend, model.backbone) for parameter in part.parameters())
        self.macs = count_macs(model).by_part["backbone"]
        self.out_dim, self.time_stride, self.first_step_frames = model.backbone.out_dim, model.backbone.time_stride, model.backbone.first_step_frames

    def _keep_shape(self, backbone: nn.Module, inputs: Any, features: Tensor) -> Tensor:
        self.shape = features.shape
        return self.forward(features)

    def forward(self, mel: Tensor) -> Tensor:
        return torch.zeros(self.shape)

    def stages(self) -> list[nn.Module]:
        return []

    def config(self) -> BackboneConfig:
        """What builds models with it."""
        return cast(BackboneConfig, _Built(self._config, self))


@dataclass(frozen=True)
class _Built:
    """A configuration, but for the backbone, which is there already."""

    config: BackboneConfig
    backbone: Backbone

    def build(self) -> Backbone:
        return self.backbone

    def __getattr__(self, name: str) -> Any:
        return getattr(self.config, name)
