"""Adam, AdamW or LAMB with layer-wise learning rates, and the course of these."""

from __future__ import annotations

import math
from typing import Any

import torch
from timm.optim.lamb import Lamb
from torch import nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from efficient_sed.config.training import TrainConfig
from efficient_sed.errors import require
from efficient_sed.models.contracts import Positioned
from efficient_sed.models.sed import SedModel


def parameter_groups(model: SedModel, config: TrainConfig) -> list[dict[str, Any]]:
    """One group per backbone stage, and one for sequence head and classifier.

    The learning rate of stages falls by `layer_decay` from the last to the first. A stage's learned positions are a
    group of their own, and so are its vectors where weight decay leaves them out.
    """
    groups: list[dict[str, Any]] = []
    if not config.is_backbone_frozen:
        stages = model.backbone.stages()
        for depth, stage in enumerate(reversed(stages)):
            rate = config.lr_backbone * config.layer_decay ** (depth + model.backbone.first_decay)
            name, positions = f"backbone.{len(stages) - 1 - depth}", _positions(stage)
            others = _without(_trainable(stage), positions)
            vectors = [] if model.backbone.decays_vectors else [parameter for parameter in others if parameter.ndim < 2]
            if not others and not positions:  # frozen
                continue
            groups.append({"name": name, "params": _without(others, vectors), "lr": rate})
            if vectors:
                groups.append({"name": f"{name}.vectors", "params": vectors, "lr": rate, "weight_decay": 0.0})
            if positions:
                own_rate = rate * config.lr_positions_ratio
                groups.append({"name": f"{name}.positions", "params": positions, "lr": own_rate, "weight_decay": 0.0})
    head = [*_trainable(model.sequence), *_trainable(model.classifier)]
    groups.append({"name": "head", "params": head, "lr": config.lr_head})
    return groups


def _trainable(module: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def _without(parameters: list[nn.Parameter], excluded: list[nn.Parameter]) -> list[nn.Parameter]:
    """Compared by identity, in the same order."""
    return [parameter for parameter in parameters if not any(parameter is other for other in excluded)]


def _positions(module: nn.Module) -> list[nn.Parameter]:
    return [
        position
        for part in module.modules()
        if isinstance(part, Positioned)
        for position in part.positions()
        if position.requires_grad
    ]


def warmup_cosine(step: int, warmup_steps: int, total_steps: int, final_ratio: float) -> float:
    """Factor on the learning rate: linear from 0 to 1 over the warm-up, then half a cosine down to `final_ratio`."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
    return final_ratio + (1 - final_ratio) * 0.5 * (1 + math.cos(math.pi * progress))


def build_optimizer(model: SedModel, config: TrainConfig, total_steps: int) -> tuple[Optimizer, LRScheduler]:
    """The optimiser and its schedule per step. The warm-up takes at most half of the training."""
    groups = parameter_groups(model, config)
    optimizer = _optimizer(groups, model, config)
    if positioned := [part for part in model.modules() if isinstance(part, Positioned)]:
        require(
            config.strategy == "ddp",
            "train.strategy",
            config.strategy,
            "ddp for learned positions, which have to stay inside their kernels",
        )

        def clamp(*_: Any) -> None:
            for part in positioned:
                part.clamp()

        optimizer.register_step_post_hook(clamp)
    if config.schedule == "one_cycle":
        return optimizer, OneCycleLR(optimizer, [group["lr"] for group in groups], max(1, total_steps))
    warmup_steps = min(config.warmup_steps, total_steps // 2)
    return optimizer, LambdaLR(
        optimizer, lambda step: warmup_cosine(step, warmup_steps, total_steps, config.final_lr_ratio)
    )


def _optimizer(groups: list[dict[str, Any]], model: SedModel, config: TrainConfig) -> Optimizer:
    if config.optimizer == "lamb":
        return Lamb(groups, weight_decay=config.weight_decay)
    # a fused step cannot be clipped under float16 mixed precision
    is_fused = next(model.parameters()).device.type in ("cpu", "cuda") and not (
        config.precision == "16-mixed" and config.gradient_clip > 0
    )
    if config.optimizer == "adamw" or config.weight_decay > 0:
        return AdamW(groups, weight_decay=config.weight_decay, fused=is_fused)
    return Adam(groups, fused=is_fused)


def set_batchnorm(model: torch.nn.Module, momentum: float) -> None:
    """Set the weight of a batch in all running statistics."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = momentum
