"""Metrics of clip-level tagging."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_average_precision

from efficient_sed.errors import DataError


def mean_average_precision(logits: Tensor, targets: Tensor, classes: Sequence[str]) -> tuple[float, dict[str, float]]:
    """mAP and the average precision per class, over classes that occur; logits and targets of shape (clips, classes)."""
    present = torch.nonzero(targets.sum(0) > 0).flatten()
    if len(present) == 0:
        raise DataError("mAP needs at least one event in the ground truth, found none")
    values = torch.stack([binary_average_precision(logits[:, i].float(), targets[:, i].long()) for i in present])
    return float(values.mean()), {classes[int(i)]: float(value) for i, value in zip(present, values, strict=True)}
