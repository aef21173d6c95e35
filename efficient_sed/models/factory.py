"""Models by name."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from efficient_sed.data.labels import default_classes, label_problem
from efficient_sed.errors import ConfigError
from efficient_sed.models.names import parse_name
from efficient_sed.models.sed import ModelSpec, SedModel


def create_model(name: str, num_classes: int | None = None, classes: Sequence[str] | None = None) -> SedModel:
    """A model with random weights.

    Args:
        name: `<backbone>[+<head>-<hidden>]`, such as "fmn10+tf-256".
        num_classes: Number of classes; 447 gives AudioSet Strong's labels, 527 AudioSet's, others are numbered.
        classes: Labels in logit order, instead of a number.

    Raises:
        ConfigError: If the name does not follow the grammar or names weights, not exactly one of num_classes and
            classes is given, or a label is no text on one line, or there twice.
    """
    parsed = parse_name(name)
    if parsed.tag is not None:
        raise ConfigError(
            f"{name!r} names trained weights: load_model({name!r}) loads them, "
            f"create_model({parsed.architecture!r}) makes random ones"
        )
    if (num_classes is None) == (classes is None):
        raise ConfigError("create_model needs either num_classes=N or classes=[...]")
    labels = default_classes(num_classes) if num_classes is not None else tuple(classes or ())
    if problem := label_problem(labels):
        raise ConfigError(f"classes={list(labels[:3])} is not allowed: {problem}")
    return SedModel(ModelSpec(parsed.backbone, parsed.seq, labels))


@torch.no_grad()
def settle_norms(model: SedModel) -> SedModel:
    """Give a random model's BatchNorm the statistics of noise, in place.

    As initialised, deep models give the same scores for any sound.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta, was_training = [norm.momentum for norm in norms], model.training
    for norm in norms:
        norm.momentum = 1.0
    frames = max(200, 2 * model.backbone.time_stride + model.backbone.first_step_frames)
    model.train()(torch.randn(2, 1, model.frontend.mel_bins, frames, generator=torch.Generator().manual_seed(0)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        # a channel that is silent for noise would multiply any other sound by 1/sqrt(eps)
        if norm.running_var is not None:
            norm.running_var[norm.running_var < 1e-3 * norm.eps] = 1.0
    return model.train(was_training)
