"""Metrics of clip-level tagging.

mAP, mAUC and d-prime as Gemmeke et al., "Audio Set: An ontology and human-labeled dataset for audio events", ICASSP
2017 (https://doi.org/10.1109/ICASSP.2017.7952261), reports them: means over classes, d-prime of the mean AUC.
`tagging_metrics` checks the scores; the functions behind it take them as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from efficient_sed.data.score_checks import check_clip_scores
from efficient_sed.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor


def tagging_metrics(
    logits: Tensor,
    targets: Tensor,
    classes: Sequence[str],
    clip_ids: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The metrics that a result carries, from logits and targets (clips, classes).

    Accuracy and F1 are among them only where each clip has one label.

    Args:
        logits: Shape (clips, classes).
        targets: 0 or 1, same shape.
        classes: Labels of the columns.
        clip_ids: Names of the rows, for messages.

    Raises:
        DataError: If there is no event in the ground truth, or a logit is NaN or plus infinity.
    """
    check_clip_scores(logits.float().numpy(), classes, clip_ids)
    value, per_class = mean_average_precision(logits, targets, classes)
    auc = mean_roc_auc(logits, targets)
    return {
        "map": value,
        "mauc": auc,
        "dprime": None if auc is None else dprime(auc),
        **single_label_metrics(logits, targets, classes),
        "per_class": per_class,
        "variant": {"metric": "map", "num_classes": len(per_class), "back_end": "torchmetrics"},
    }


def mean_average_precision(logits: Tensor, targets: Tensor, classes: Sequence[str]) -> tuple[float, dict[str, float]]:
    """Mean average precision and the average precision per class, over classes that occur.

    Logits and targets of shape (clips, classes).
    """
    import torch
    from torchmetrics.functional.classification import binary_average_precision

    present = (targets.sum(0) > 0).nonzero().flatten()
    if len(present) == 0:
        raise DataError("mAP needs at least one event in the ground truth, found none")
    values = torch.stack([binary_average_precision(logits[:, i].float(), targets[:, i].long()) for i in present])
    return float(values.mean()), {classes[int(i)]: float(value) for i, value in zip(present, values, strict=True)}


def mean_roc_auc(logits: Tensor, targets: Tensor) -> float | None:
    """Mean AUC over classes that some clips have and some have not; None if there is no such class.

    Logits and targets of shape (clips, classes).
    """
    from scipy.stats import rankdata

    values = []
    for scores, is_positive in zip(logits.T.float().numpy(), targets.T.bool().numpy(), strict=True):
        num_positive, num_negative = int(is_positive.sum()), int((~is_positive).sum())
        if num_positive and num_negative:
            # pairs with the positive above, half of the ties
            num_ordered = rankdata(scores)[is_positive].sum() - num_positive * (num_positive + 1) / 2
            values.append(float(num_ordered) / (num_positive * num_negative))
    return math.fsum(values) / len(values) if values else None


def dprime(auc: float) -> float | None:
    """Distance of two normal distributions of equal width with that AUC, in widths; None where it is infinite."""
    from scipy.stats import norm

    return math.sqrt(2) * float(norm.ppf(auc)) if 0 < auc < 1 else None


def single_label_metrics(logits: Tensor, targets: Tensor, classes: Sequence[str]) -> dict[str, Any]:
    """Of the highest logit as the clip's class: accuracy, F1 per class that occurs, and their mean.

    None of them unless each clip has exactly one label of several.
    """
    if len(targets) == 0 or targets.shape[1] < 2 or not (targets.sum(1) == 1).all():
        return {}
    chosen, true = logits.argmax(1), targets.argmax(1)
    per_class = {}
    for index in (targets.sum(0) > 0).nonzero().flatten().tolist():
        hits = int(((chosen == index) & (true == index)).sum())
        per_class[classes[index]] = 2 * hits / int((chosen == index).sum() + (true == index).sum())
    return {
        "accuracy": float((chosen == true).double().mean()),
        "f1_macro": math.fsum(per_class.values()) / len(per_class),
        "f1_per_class": per_class,
    }
