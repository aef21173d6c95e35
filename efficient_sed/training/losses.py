"""Losses of supervised training and distillation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits, cross_entropy, mse_loss

from efficient_sed.config.training import Consistency


def detection_loss(
    logits: Tensor,
    targets: Tensor,
    teacher: Tensor,
    weight: float,
    labelled: Tensor | None = None,
    distilled: Tensor | None = None,
    annotated: Tensor | None = None,
    distilled_classes: Tensor | None = None,
    active_weights: Tensor | None = None,
) -> dict[str, Tensor]:
    """Binary cross-entropy against labels and against a teacher's probabilities.

    Morocutti et al. 2025, section III-B: (1 - weight) * supervised + weight * distillation. For a clip without a
    teacher the caller passes the labels as teacher: it is trained on its labels alone (in the released code this is
    an error), and clips with and without a teacher can be mixed. Each term is a mean over its own entries. Section
    IV-D ("advanced" distillation) is the same with clips that have a teacher and no labels.

    Args:
        logits: The student's, shape (batch, classes, frames), or (batch, classes) of clips.
        targets: Labels in [0, 1], same shape.
        teacher: Probabilities in [0, 1], same shape.
        weight: Share of the distillation term, in [0, 1].
        labelled: Rows that the supervised term is taken over, on the device of the logits; default None, all.
        distilled: Rows that the distillation term is taken over; default None, all.
        annotated: Classes that count, boolean, shape (batch, classes); default None, all.
        distilled_classes: Those that the distillation term is taken over, same shape; default None, `annotated`.
        active_weights: Weight of a frame with each class in the supervised term, shape (classes, 1); default None, 1.

    Returns:
        "loss" to minimise and its parts "supervised" and "distillation", scalars.

    Raises:
        ValueError: If the shapes differ; the message names them.
    """
    distilled_classes = annotated if distilled_classes is None else distilled_classes
    if not logits.shape == targets.shape == teacher.shape:
        shapes = {"student": logits.shape, "labels": targets.shape, "teacher": teacher.shape}
        raise ValueError(f"shapes differ: {', '.join(f'{name} {tuple(shape)}' for name, shape in shapes.items())}")
    against_labels = partial(binary_cross_entropy_with_logits, pos_weight=active_weights)
    supervised = _mean_over(against_labels, logits, targets, labelled, annotated)
    distillation = _mean_over(binary_cross_entropy_with_logits, logits, teacher, distilled, distilled_classes)
    return {
        "loss": (1 - weight) * supervised + weight * distillation,
        "supervised": supervised,
        "distillation": distillation,
    }


def activity_weights(shares: Tensor, power: float) -> Tensor:
    """Weight of a frame with each class, `(frames without / frames with it) ** power`; 1 for classes without any.

    Imoto et al. 2021, "Impact of sound duration and inactive frames on sound event detection performance"
    (https://arxiv.org/abs/2102.01927), show how short classes drown in the plain loss. Changed: a power of the ratio.

    Args:
        shares: Of frames in which a class is active, in [0, 1], shape (classes,).
        power: 0 for no difference, 1 for as much weight on frames with a class as without.
    """
    has = (shares > 0) & (shares < 1)
    ratio = torch.where(has, (1 - shares) / shares.clamp(min=torch.finfo(shares.dtype).tiny), 1.0)
    return ratio**power


def with_weak_labels(
    losses: dict[str, Tensor],
    clip_logits: Tensor,
    targets: Tensor,
    weight: float,
    weak: Tensor,
    annotated: Tensor | None = None,
) -> dict[str, Tensor]:
    """Add the binary cross-entropy of the clip logits of weak clips to the supervised term of `detection_loss`.

    Args:
        losses: Of the frames.
        clip_logits: Shape (batch, classes).
        targets: Labels of clips in [0, 1], same shape.
        weight: Share of the distillation term in the loss.
        weak: Rows with labels of clips alone; without any the losses stay what they are.
        annotated: As for `detection_loss`.

    Returns:
        The losses with the part "weak".
    """
    if len(weak) == 0:
        return {**losses, "weak": losses["loss"].new_zeros(())}
    on_clips = _mean_over(binary_cross_entropy_with_logits, clip_logits, targets, weak, annotated)
    return {
        **losses,
        "loss": losses["loss"] + (1 - weight) * on_clips,
        "supervised": losses["supervised"] + on_clips,
        "weak": on_clips,
    }


def kept_classes(annotated: Tensor | None, num_kept: int, shape: torch.Size) -> Tensor:
    """Classes that a model's predecessor teaches: those that it has, in clips that are not annotated for them.

    Li and Hoiem 2016, "Learning without Forgetting" (https://arxiv.org/abs/1606.09282), for outputs that do not exclude
    each other: labels of new classes say nothing of the old ones, whose targets are the old model's probabilities.

    Args:
        annotated: Classes with labels, boolean, shape (batch, classes); None, all.
        num_kept: Of the classes, the first ones, that the predecessor has.
        shape: Of the mask, (batch, classes).
    """
    if annotated is None:
        return torch.zeros(shape, dtype=torch.bool)
    is_kept = torch.arange(shape[1], device=annotated.device) < num_kept
    return ~annotated & is_kept


def consistency_loss(
    scores: Sequence[Tensor],
    teacher: Sequence[Tensor],
    rows: Tensor,
    annotated: Tensor | None = None,
    kind: Consistency = "mse",
) -> Tensor:
    """Sum of the differences between scores of a student and of its mean teacher.

    Tarvainen and Valpola 2017, "Mean teachers are better role models": the mean squared difference, in the form of the
    baselines of DCASE Task 4, or the cross-entropy, whose gradient does not vanish where the student is sure.

    Args:
        scores: The student's in [0, 1], each of shape (batch, classes) or (batch, classes, frames).
        teacher: The mean teacher's, same shapes, without gradient.
        rows: Clips that it is taken over.
        annotated: As for `detection_loss`.
        kind: "mse" or "bce".
    """
    loss: Callable[..., Tensor] = binary_cross_entropy if kind == "bce" else mse_loss
    with torch.autocast(rows.device.type, enabled=False):  # in which PyTorch refuses cross-entropy of scores on a GPU
        return torch.stack(
            [_mean_over(loss, own, other, rows, annotated) for own, other in zip(scores, teacher, strict=True)]
        ).sum()


def ramp_up(progress: float) -> float:
    """Weight exp(-5 (1 - x)^2) of the consistency term at a progress x in [0, 1] (Laine and Aila 2017)."""
    return math.exp(-5.0 * (1.0 - min(progress, 1.0)) ** 2)


def _mean_over(
    loss: Callable[..., Tensor], values: Tensor, targets: Tensor, rows: Tensor | None, annotated: Tensor | None
) -> Tensor:
    """Mean of an element-wise loss over some rows and the classes that count; 0 if there are none."""
    if rows is not None and len(rows) < len(values):
        if len(rows) == 0:
            return values.new_zeros(())
        values, targets = values[rows], targets[rows]
        annotated = None if annotated is None else annotated[rows]
    if annotated is None:
        return loss(values, targets)
    counts = annotated.view(*annotated.shape, *[1] * (values.ndim - 2)).expand_as(values).to(values.dtype)
    return (loss(values, targets, reduction="none") * counts).sum() / counts.sum().clamp(min=1)


def single_label_loss(
    clip_logits: Tensor, targets: Tensor, label_smoothing: float = 0.0, labelled: Tensor | None = None
) -> dict[str, Tensor]:
    """Cross-entropy of clip logits against one class per clip, or against the shares of classes in mixed clips.

    Args:
        clip_logits: Shape (batch, classes).
        targets: Labels, 0 or more, same shape; not all zero in any labelled clip. They are divided by their sum.
        label_smoothing: Share of the labels that is spread over all classes, in [0, 1).
        labelled: Rows that it is taken over; default None, all.

    Returns:
        "loss" to minimise, a scalar.
    """
    if labelled is not None and len(labelled) < len(targets):
        if len(labelled) == 0:
            return {"loss": clip_logits.new_zeros(())}
        clip_logits, targets = clip_logits[labelled], targets[labelled]
    return {"loss": cross_entropy(clip_logits, targets / targets.sum(1, keepdim=True), label_smoothing=label_smoothing)}


def tagging_loss(
    clip_logits: Tensor,
    targets: Tensor,
    teacher: Tensor | None = None,
    weight: float = 0.0,
    label_smoothing: float = 0.0,
    labelled: Tensor | None = None,
    distilled: Tensor | None = None,
    annotated: Tensor | None = None,
    distilled_classes: Tensor | None = None,
) -> dict[str, Tensor]:
    """Binary cross-entropy of clip logits against the classes in the clip and a teacher's clip probabilities.

    Args:
        clip_logits: The student's, shape (batch, classes).
        targets: Labels in [0, 1], same shape.
        teacher: Probabilities in [0, 1], same shape, with the labels in clips without a teacher; default None, labels
            alone. Smoothing does not change them.
        weight: Share of the distillation term, in [0, 1].
        label_smoothing: Share of each label that is spread over all classes, in [0, 1).
        labelled: As for `detection_loss`, as the next two.
        distilled: Rows with a teacher.
        annotated: Classes that count.
        distilled_classes: Those that the teacher's term is taken over.

    Returns:
        "loss" to minimise and its parts "supervised" and "distillation", scalars.

    Raises:
        ValueError: If the shapes differ; the message names them.
    """
    smoothed = targets * (1 - label_smoothing) + label_smoothing / targets.shape[1]
    teacher = targets if teacher is None else teacher
    return detection_loss(clip_logits, smoothed, teacher, weight, labelled, distilled, annotated, distilled_classes)
