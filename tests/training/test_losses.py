"""Losses against the formulas of the paper."""

from __future__ import annotations

import math

import pytest
import torch

from efficient_sed.training.losses import detection_loss, half_weak_loss, single_label_loss, tagging_loss


def binary_cross_entropy(probability: float, target: float) -> float:
    return -target * math.log(probability) - (1 - target) * math.log(1 - probability)


def test_detection_loss_by_hand() -> None:
    logits, labels, teacher = (
        torch.tensor([[[0.0, math.log(3)]]]),
        torch.tensor([[[1.0, 0.0]]]),
        torch.tensor([[[0.8, 0.25]]]),
    )  # probabilities 0.5 and 0.75
    losses = detection_loss(logits, labels, teacher, weight=0.9)
    supervised = (binary_cross_entropy(0.5, 1) + binary_cross_entropy(0.75, 0)) / 2
    distillation = (binary_cross_entropy(0.5, 0.8) + binary_cross_entropy(0.75, 0.25)) / 2
    assert losses["supervised"].item() == pytest.approx(supervised)
    assert losses["distillation"].item() == pytest.approx(distillation)
    assert losses["loss"].item() == pytest.approx(0.1 * supervised + 0.9 * distillation)


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.9, 1.0])
def test_labels_as_teacher_are_supervised_training(weight: float) -> None:
    logits, labels = torch.randn(3, 5, 7), (torch.rand(3, 5, 7) > 0.7).float()
    losses = detection_loss(logits, labels, labels, weight)
    torch.testing.assert_close(losses["loss"], torch.nn.functional.binary_cross_entropy_with_logits(logits, labels))


@pytest.mark.parametrize("place", ["labels", "teacher"])
def test_shapes_that_differ_are_named(place: str) -> None:
    shapes = {"student": (2, 3, 75), "labels": (2, 3, 75), "teacher": (2, 3, 75)} | {place: (2, 3, 74)}
    message = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    with pytest.raises(ValueError, match="shapes differ") as caught:
        detection_loss(*(torch.zeros(shape) for shape in shapes.values()), 0.9)
    assert str(caught.value) == f"shapes differ: {message}"


def test_tagging_loss_by_hand() -> None:
    losses = tagging_loss(torch.tensor([[0.0, math.log(3)]]), torch.tensor([[1.0, 1.0]]))
    assert losses["loss"].item() == losses["supervised"].item() == pytest.approx((math.log(2) + math.log(4 / 3)) / 2)


def test_single_label_loss_by_hand() -> None:
    """Probabilities 1/6, 2/6, 3/6; the second clip is a mixture of 0.75 of the first class and 0.25 of the third."""
    logits = torch.tensor([[1.0, 2.0, 3.0]]).log().expand(2, 3)
    loss = single_label_loss(logits, torch.tensor([[0.0, 1.0, 0.0], [0.75, 0.0, 0.25]]))["loss"]
    assert loss.item() == pytest.approx((math.log(3) + 0.75 * math.log(6) + 0.25 * math.log(2)) / 2)


def test_tagging_with_a_teacher_by_hand() -> None:
    losses = tagging_loss(
        torch.tensor([[0.0, math.log(3)]]), torch.tensor([[1.0, 1.0]]), torch.tensor([[0.3, 0.6]]), 0.9
    )
    supervised = (math.log(2) + math.log(4 / 3)) / 2
    distillation = (binary_cross_entropy(0.5, 0.3) + binary_cross_entropy(0.75, 0.6)) / 2
    assert losses["loss"].item() == pytest.approx(0.1 * supervised + 0.9 * distillation)


def test_half_weak_by_hand() -> None:
    """0.1 supervised on strong clips + 0.9 (0.5 teacher on strong + 0.5 teacher on weak clips), each a mean over its own clips."""
    logits, labels, teacher = torch.randn(5, 3, 7), torch.rand(5, 3, 7).round(), torch.rand(5, 3, 7)
    strong, weak, nobody = torch.tensor([1, 4]), torch.tensor([0, 2, 3]), torch.tensor([], dtype=torch.long)
    losses = half_weak_loss(logits, labels, teacher, strong, weak, 0.9, 0.5)
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    expected = 0.1 * bce(logits[strong], labels[strong]) + 0.9 * (
        0.5 * bce(logits[strong], teacher[strong]) + 0.5 * bce(logits[weak], teacher[weak])
    )
    torch.testing.assert_close(losses["loss"], expected)
    torch.testing.assert_close(losses["distillation_weak"], bce(logits[weak], teacher[weak]))
    torch.testing.assert_close(losses["distillation_strong"], bce(logits[strong], teacher[strong]))
    torch.testing.assert_close(losses["supervised"], bce(logits[strong], labels[strong]))
    labels[weak] = torch.nan  # not looked at
    torch.testing.assert_close(half_weak_loss(logits, labels, teacher, strong, weak, 0.9, 0.5)["loss"], expected)
    for all_weak in (False, True):
        rows = (nobody, torch.arange(5)) if all_weak else (torch.arange(5), nobody)
        same = half_weak_loss(logits, teacher, teacher, *rows, 0.9, 0.5)
        torch.testing.assert_close(same["loss"], (0.9 if all_weak else 1.0) * bce(logits, teacher))
        torch.testing.assert_close(same["distillation"], bce(logits, teacher))
        assert same.keys() == losses.keys()  # several processes log the same, whatever their clips


def test_smoothed_labels_by_hand() -> None:
    """A tenth of each of four labels is spread over all: 0.925 where there is one, 0.025 elsewhere. A teacher is not smoothed, nor what it says."""
    logits, labels = torch.randn(3, 4), torch.eye(4)[:3]
    smoothed = 0.9 * labels + 0.025
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    torch.testing.assert_close(tagging_loss(logits, labels, label_smoothing=0.1)["loss"], bce(logits, smoothed))
    torch.testing.assert_close(
        tagging_loss(logits, labels, labels, 0.75, 0.1)["loss"],
        0.25 * bce(logits, smoothed) + 0.75 * bce(logits, labels),
    )
    torch.testing.assert_close(
        single_label_loss(logits, labels, 0.1)["loss"], -(logits.log_softmax(1) * smoothed).sum(1).mean()
    )
