"""How vision networks and transformers draw their first weights."""

from __future__ import annotations

from torch import nn

INIT_STD = 0.02


def init_linear(module: nn.Module) -> None:
    """Small weights for every linear layer and convolution in a module, and no bias."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.trunc_normal_(layer.weight, std=INIT_STD)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
