"""Losses of supervised training and distillation."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def detection_loss(frame_logits: Tensor, targets: Tensor, teacher: Tensor, weight: float) -> dict[str, Tensor]:
    """Binary cross-entropy against labels and against a teacher's frame probabilities.

    Morocutti et al. 2025, section III-B: (1 - weight) * supervised + weight * distillation. Where there is no teacher its place is taken
    by the labels, so that such a clip is trained on its labels alone (there: an error), and mixing clips stays well defined.

    Args:
        frame_logits: The student's, shape (batch, classes, frames).
        targets: Labels in [0, 1], same shape.
        teacher: Probabilities in [0, 1], same shape.
        weight: Share of the distillation term, in [0, 1].

    Returns:
        "loss" to minimise and its parts "supervised" and "distillation", scalars.

    Raises:
        ValueError: If the shapes differ; the message names them.
    """
    if not frame_logits.shape == targets.shape == teacher.shape:
        raise ValueError(f"shapes differ: student {tuple(frame_logits.shape)}, labels {tuple(targets.shape)}, teacher {tuple(teacher.shape)}")
    supervised = binary_cross_entropy_with_logits(frame_logits, targets)
    distillation = binary_cross_entropy_with_logits(frame_logits, teacher)
    return {"loss": (1 - weight) * supervised + weight * distillation, "supervised": supervised, "distillation": distillation}


def tagging_loss(clip_logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Binary cross-entropy of clip logits (batch, classes) against the classes that occur anywhere in the clip."""
    loss = binary_cross_entropy_with_logits(clip_logits, targets)
    return {"loss": loss, "supervised": loss}
