"""The first stages of a backbone without training: no gradients, and the faster form that inference has of them."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from efficient_sed.errors import require
from efficient_sed.models.contracts import Backbone
from efficient_sed.models.fuse import fuse_layers, in_micro_batches


class FrozenStages:
    """The frozen stages of a backbone during a training.

    Their parameters get no gradient, and their BatchNorm keeps its statistics. Between `start` and `stop` those that
    run one after the other are replaced by a fused copy, which on a CPU takes a few clips at a time.

    Args:
        backbone: Whose parameters are changed to need no gradient.
        num_stages: How many, from the input on; None for all.

    Raises:
        ConfigError: If there are fewer.
    """

    def __init__(self, backbone: Backbone, num_stages: int | None) -> None:
        stages = backbone.stages()
        count = len(stages) if num_stages is None else num_stages
        is_part = num_stages is None or num_stages < len(stages)
        fewer = f"fewer than this backbone's {len(stages)} stages; train.is_backbone_frozen=true freezes all"
        require(is_part, "train.frozen_stages", count, fewer)
        self._stages = stages[:count]
        self._are_chained = backbone.has_chained_stages
        for stage in self._stages:
            stage.requires_grad_(False)

    def eval(self) -> None:
        """Put them into evaluation mode."""
        for stage in self._stages:
            stage.eval()

    def start(self) -> None:
        """Run the fused copy from now on, made of the present weights."""
        if not self._stages or not self._are_chained:
            return
        fused = fuse_layers(nn.Sequential(*copy.deepcopy(self._stages)).eval())

        def run(x: Tensor) -> Tensor:
            with torch.no_grad():
                return in_micro_batches(fused, x)

        first, *others = self._stages
        first.forward = run
        for stage in others:
            stage.forward = _same

    def stop(self) -> None:
        """Run the stages themselves again."""
        for stage in self._stages:
            stage.__dict__.pop("forward", None)


def _same(x: Tensor) -> Tensor:
    return x
