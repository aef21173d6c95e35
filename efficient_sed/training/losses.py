"""Losses of supervised training and distillation."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy


def detection_loss(frame_logits: Tensor, targets: Tensor, teacher: Tensor, weight: float) -> dict[str, Tensor]:
    """Binary cross-entropy against labels and against a teacher's frame probabilities.

    Morocutti et al. 2025, section III-B: (1 - weight) * supervised + weight * distillation. For a clip without a
    teacher the caller passes the labels as teacher: it is trained on its labels alone (in the released code this is
    an error), and clips with and without a teacher can be mixed.

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
        shapes = {"student": frame_logits.shape, "labels": targets.shape, "teacher": teacher.shape}
        raise ValueError(f"shapes differ: {', '.join(f'{name} {tuple(shape)}' for name, shape in shapes.items())}")
    supervised = binary_cross_entropy_with_logits(frame_logits, targets)
    distillation = binary_cross_entropy_with_logits(frame_logits, teacher)
    return {
        "loss": (1 - weight) * supervised + weight * distillation,
        "supervised": supervised,
        "distillation": distillation,
    }


def half_weak_loss(
    frame_logits: Tensor,
    targets: Tensor,
    teacher: Tensor,
    strong: Tensor,
    weak: Tensor,
    weight: float,
    weak_share: float,
) -> dict[str, Tensor]:
    """`detection_loss` of a batch in which some clips have clip labels only; those learn from the teacher alone.

    Morocutti et al. 2025, section IV-D ("advanced" distillation), by the released code:

        (1 - weight) * supervised on strong clips
        + weight * ((1 - weak_share) * distillation on strong clips + weak_share * distillation on weak clips)

    Each term is a mean over its own clips; published are weight 0.9 and weak_share 0.5. If unreadable files leave a
    batch with one kind of clips only, that kind takes the whole distillation term.

    Args:
        frame_logits: The student's, shape (batch, classes, frames).
        targets: Labels in [0, 1], same shape; those of weak clips are ignored.
        teacher: Probabilities in [0, 1], same shape.
        strong: Rows of the clips with frame labels, on the device of the logits.
        weak: Rows of the others, which have clip labels only.
        weight: Share of the distillation term in the loss, in [0, 1].
        weak_share: Share of weak clips in that term, in [0, 1].

    Returns:
        "loss" to minimise and its parts "supervised", "distillation", "distillation_strong" and "distillation_weak",
        scalars.

    Raises:
        ValueError: If the shapes of logits, labels and teacher differ.
    """
    if len(weak) == 0:
        losses = detection_loss(frame_logits, targets, teacher, weight)
        if weak_share == 0:
            return losses
        nothing = losses["loss"].new_zeros(())
        return {**losses, "distillation_strong": losses["distillation"], "distillation_weak": nothing}
    on_weak = binary_cross_entropy_with_logits(frame_logits[weak], teacher[weak])
    if len(strong) == 0:
        nothing = on_weak.new_zeros(())
        return {
            "loss": weight * on_weak,
            "supervised": nothing,
            "distillation": on_weak,
            "distillation_strong": nothing,
            "distillation_weak": on_weak,
        }
    losses = detection_loss(frame_logits[strong], targets[strong], teacher[strong], weight)
    distillation = (1 - weak_share) * losses["distillation"] + weak_share * on_weak
    return {
        "loss": (1 - weight) * losses["supervised"] + weight * distillation,
        "supervised": losses["supervised"],
        "distillation": distillation,
        "distillation_strong": losses["distillation"],
        "distillation_weak": on_weak,
    }


def single_label_loss(clip_logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> dict[str, Tensor]:
    """Cross-entropy of clip logits against one class per clip, or against the shares of classes in mixed clips.

    Args:
        clip_logits: Shape (batch, classes).
        targets: Labels, 0 or more, same shape; not all zero in any clip. They are divided by their sum.
        label_smoothing: Share of the labels that is spread over all classes, in [0, 1).

    Returns:
        "loss" to minimise, a scalar.
    """
    return {"loss": cross_entropy(clip_logits, targets / targets.sum(1, keepdim=True), label_smoothing=label_smoothing)}


def tagging_loss(
    clip_logits: Tensor,
    targets: Tensor,
    teacher: Tensor | None = None,
    weight: float = 0.0,
    label_smoothing: float = 0.0,
) -> dict[str, Tensor]:
    """Binary cross-entropy of clip logits against the classes in the clip and a teacher's clip probabilities.

    Args:
        clip_logits: The student's, shape (batch, classes).
        targets: Labels in [0, 1], same shape.
        teacher: Probabilities in [0, 1], same shape, with the labels in clips without a teacher; default None, labels
            alone. Smoothing does not change them.
        weight: Share of the distillation term, in [0, 1].
        label_smoothing: Share of each label that is spread over all classes, in [0, 1).

    Returns:
        "loss" to minimise and its parts "supervised" and "distillation", scalars.

    Raises:
        ValueError: If the shapes differ; the message names them.
    """
    smoothed = targets * (1 - label_smoothing) + label_smoothing / targets.shape[1]
    return detection_loss(clip_logits, smoothed, targets if teacher is None else teacher, weight)
