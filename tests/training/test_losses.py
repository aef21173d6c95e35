"""Losses against the formulas of the papers, written out element by element; their gradients; and laws that they
keep."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from efficient_sed.training.losses import detection_loss, half_weak_loss, single_label_loss, tagging_loss

WEIGHTS = (0.0, 0.3, 0.9, 1.0)


def cross_entropies(logits: Tensor, targets: Tensor) -> list[float]:
    """Binary cross-entropy of every element, by the textbook formula on probabilities."""
    values = zip(logits.double().flatten().tolist(), targets.double().flatten().tolist(), strict=True)
    probabilities = [(1 / (1 + math.exp(-logit)), target) for logit, target in values]
    return [-target * math.log(p) - (1 - target) * math.log(1 - p) for p, target in probabilities]


def mean_cross_entropy(logits: Tensor, targets: Tensor) -> float:
    terms = cross_entropies(logits, targets)
    return sum(terms) / len(terms)


def example(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, hard labels and a teacher's probabilities."""
    generator = torch.Generator().manual_seed(seed)
    logits, labels, teacher = (torch.rand(shape, generator=generator, dtype=torch.float64) for _ in range(3))
    return 6 * logits - 3, (labels > 0.7).double(), teacher


def gradient(loss: Callable[[Tensor], Tensor], logits: Tensor) -> Tensor:
    logits = logits.clone().requires_grad_()
    loss(logits).backward()
    assert logits.grad is not None
    return logits.grad


# detection


def test_detection_by_hand() -> None:
    """Probabilities 0.5 and 0.75."""
    logits, labels, teacher = (torch.tensor([[v]]) for v in ([0.0, math.log(3)], [1.0, 0.0], [0.8, 0.25]))
    losses = detection_loss(logits, labels, teacher, weight=0.9)
    supervised = (-math.log(0.5) - math.log(0.25)) / 2
    distillation = (-math.log(0.5) - 0.25 * math.log(0.75) - 0.75 * math.log(0.25)) / 2
    assert losses["supervised"].item() == pytest.approx(supervised)
    assert losses["distillation"].item() == pytest.approx(distillation)
    assert losses["loss"].item() == pytest.approx(0.1 * supervised + 0.9 * distillation)


@pytest.mark.parametrize("weight", WEIGHTS)
def test_detection_against_the_formula(weight: float) -> None:
    logits, labels, teacher = example(3, 5, 7)
    losses = detection_loss(logits, labels, teacher, weight)
    supervised, distillation = mean_cross_entropy(logits, labels), mean_cross_entropy(logits, teacher)
    assert losses["supervised"].item() == pytest.approx(supervised)
    assert losses["distillation"].item() == pytest.approx(distillation)
    assert losses["loss"].item() == pytest.approx((1 - weight) * supervised + weight * distillation)


@pytest.mark.parametrize("weight", WEIGHTS)
def test_gradient_of_detection(weight: float) -> None:
    """It is (probability - target) / number of elements, with the weighted mean of labels and teacher as target."""
    logits, labels, teacher = example(2, 3, 4)
    found = gradient(lambda x: detection_loss(x, labels, teacher, weight)["loss"], logits)
    target = (1 - weight) * labels + weight * teacher
    torch.testing.assert_close(found, (logits.sigmoid() - target) / logits.numel())


@pytest.mark.parametrize("weight", WEIGHTS)
def test_labels_as_teacher_are_supervised_training(weight: float) -> None:
    logits, labels, _ = example(3, 5, 7)
    losses = detection_loss(logits, labels, labels, weight)
    assert losses["loss"].item() == pytest.approx(mean_cross_entropy(logits, labels))


@pytest.mark.parametrize(("weight", "unused"), [(0.0, "teacher"), (1.0, "labels")])
def test_a_term_without_weight_has_no_gradient(weight: float, unused: str) -> None:
    logits, labels, teacher = example(2, 3, 4)
    other = {"labels": labels, "teacher": teacher} | {unused: torch.full_like(labels, 0.5)}
    expected = gradient(lambda x: detection_loss(x, labels, teacher, weight)["loss"], logits)
    found = gradient(lambda x: detection_loss(x, other["labels"], other["teacher"], weight)["loss"], logits)
    torch.testing.assert_close(found, expected)


@given(st.floats(0, 1), st.integers(0, 1000))
def test_loss_lies_between_its_parts_and_above_the_entropy_of_its_target(weight: float, seed: int) -> None:
    logits, labels, teacher = example(2, 3, 5, seed=seed)
    losses = {name: value.item() for name, value in detection_loss(logits, labels, teacher, weight).items()}
    low, high = sorted((losses["supervised"], losses["distillation"]))
    assert low - 1e-9 <= losses["loss"] <= high + 1e-9
    target = (1 - weight) * labels + weight * teacher
    perfect = target.clamp(1e-9, 1 - 1e-9).logit()
    assert losses["loss"] >= mean_cross_entropy(perfect, target) - 1e-6


@given(st.integers(0, 1000))
def test_soft_labels_are_the_mean_of_hard_ones(seed: int) -> None:
    """The loss is linear in the target, so mixing clips mixes their losses."""
    logits, labels, teacher = example(2, 3, 5, seed=seed)
    mixed = 0.7 * labels + 0.3 * teacher
    parts = [detection_loss(logits, target, target, 0.4)["loss"].item() for target in (labels, teacher)]
    assert detection_loss(logits, mixed, mixed, 0.4)["loss"].item() == pytest.approx(0.7 * parts[0] + 0.3 * parts[1])


@given(st.permutations(range(4)), st.integers(0, 100))
def test_the_order_of_clips_changes_nothing(order: list[int], seed: int) -> None:
    batch = example(4, 3, 5, seed=seed)
    shuffled = [value[order] for value in batch]
    expected, found = (detection_loss(*values, 0.9)["loss"].item() for values in (batch, shuffled))
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("size", [-1000.0, -88.0, 0.0, 88.0, 1000.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_logits_give_finite_losses_and_gradients(size: float, dtype: torch.dtype) -> None:
    logits, labels = torch.full((1, 2, 3), size, dtype=dtype), torch.tensor([1.0, 0.0], dtype=dtype)[None, :, None]
    labels = labels.expand(1, 2, 3)
    assert math.isfinite(detection_loss(logits, labels, labels, 0.9)["loss"].item())
    assert gradient(lambda x: detection_loss(x, labels, labels, 0.9)["loss"], logits).isfinite().all()


@pytest.mark.parametrize("place", ["labels", "teacher"])
def test_shapes_that_differ_are_named(place: str) -> None:
    shapes = {"student": (2, 3, 75), "labels": (2, 3, 75), "teacher": (2, 3, 75)} | {place: (2, 3, 74)}
    message = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    with pytest.raises(ValueError, match="shapes differ") as caught:
        detection_loss(*(torch.zeros(shape) for shape in shapes.values()), 0.9)
    assert str(caught.value) == f"shapes differ: {message}"


# strong and weak clips in one batch

STRONG, WEAK, NOBODY = torch.tensor([1, 4]), torch.tensor([0, 2, 3]), torch.tensor([], dtype=torch.long)


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.75])
def test_half_weak_against_the_formula(weight: float, share: float) -> None:
    """Each term is a mean over its own clips, however many there are of each kind."""
    logits, labels, teacher = example(5, 3, 7)
    losses = half_weak_loss(logits, labels, teacher, STRONG, WEAK, weight, share)
    supervised = mean_cross_entropy(logits[STRONG], labels[STRONG])
    on_strong, on_weak = (mean_cross_entropy(logits[rows], teacher[rows]) for rows in (STRONG, WEAK))
    distillation = (1 - share) * on_strong + share * on_weak
    expected = {
        "loss": (1 - weight) * supervised + weight * distillation,
        "supervised": supervised,
        "distillation": distillation,
        "distillation_strong": on_strong,
        "distillation_weak": on_weak,
    }
    assert {name: value.item() for name, value in losses.items()} == pytest.approx(expected)


def test_labels_of_weak_clips_are_ignored() -> None:
    logits, labels, teacher = example(5, 3, 7)
    expected = half_weak_loss(logits, labels, teacher, STRONG, WEAK, 0.9, 0.5)["loss"]
    labels[WEAK] = torch.nan
    torch.testing.assert_close(half_weak_loss(logits, labels, teacher, STRONG, WEAK, 0.9, 0.5)["loss"], expected)
    found = gradient(lambda x: half_weak_loss(x, labels, teacher, STRONG, WEAK, 0.0, 0.5)["loss"], logits)
    assert found[WEAK].abs().sum() == 0
    assert found[STRONG].abs().sum() > 0


@pytest.mark.parametrize("is_weak", [False, True])
def test_a_batch_of_one_kind_takes_the_whole_distillation_term(is_weak: bool) -> None:
    logits, labels, teacher = example(5, 3, 7)
    everybody = torch.arange(5)
    rows = (NOBODY, everybody) if is_weak else (everybody, NOBODY)
    losses = half_weak_loss(logits, labels, teacher, *rows, 0.9, 0.5)
    distillation = mean_cross_entropy(logits, teacher)
    supervised = 0.0 if is_weak else mean_cross_entropy(logits, labels)
    assert losses["distillation"].item() == pytest.approx(distillation)
    assert losses["loss"].item() == pytest.approx(0.9 * distillation + 0.1 * supervised)
    both = half_weak_loss(logits, labels, teacher, STRONG, WEAK, 0.9, 0.5)
    assert losses.keys() == both.keys()  # several processes log the same, whatever their clips


def test_without_weak_clips_it_is_the_detection_loss() -> None:
    logits, labels, teacher = example(5, 3, 7)
    found = half_weak_loss(logits, labels, teacher, torch.arange(5), NOBODY, 0.9, 0.0)
    expected = detection_loss(logits, labels, teacher, 0.9)
    assert found.keys() == expected.keys()
    torch.testing.assert_close(found, expected)


# tagging


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("weight", WEIGHTS)
def test_tagging_against_the_formula(weight: float, smoothing: float) -> None:
    """Labels are smoothed, a teacher's probabilities are not."""
    logits, labels, teacher = example(4, 6)
    smoothed = (1 - smoothing) * labels + smoothing / 6
    losses = tagging_loss(logits, labels, teacher, weight, smoothing)
    supervised, distillation = mean_cross_entropy(logits, smoothed), mean_cross_entropy(logits, teacher)
    assert losses["supervised"].item() == pytest.approx(supervised)
    assert losses["distillation"].item() == pytest.approx(distillation)
    assert losses["loss"].item() == pytest.approx((1 - weight) * supervised + weight * distillation)


def test_tagging_without_a_teacher_is_supervised() -> None:
    logits, labels, _ = example(4, 6)
    losses = tagging_loss(logits, labels)
    assert losses["loss"].item() == losses["supervised"].item() == pytest.approx(mean_cross_entropy(logits, labels))


def test_tagging_by_hand() -> None:
    losses = tagging_loss(torch.tensor([[0.0, math.log(3)]]), torch.tensor([[1.0, 1.0]]))
    assert losses["loss"].item() == pytest.approx((math.log(2) + math.log(4 / 3)) / 2)


# one class per clip


def test_single_label_by_hand() -> None:
    """Probabilities 1/6, 2/6, 3/6; the second clip is a mixture of 0.75 of the first class and 0.25 of the third."""
    logits = torch.tensor([[1.0, 2.0, 3.0]]).log().expand(2, 3)
    loss = single_label_loss(logits, torch.tensor([[0.0, 1.0, 0.0], [0.75, 0.0, 0.25]]))["loss"]
    assert loss.item() == pytest.approx((math.log(3) + 0.75 * math.log(6) + 0.25 * math.log(2)) / 2)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_single_label_against_the_formula(smoothing: float) -> None:
    logits, _, shares = example(4, 5)
    total = 0.0
    for row, target in zip(logits.tolist(), shares.tolist(), strict=True):
        log_sum = math.log(sum(map(math.exp, row)))
        smoothed = [(1 - smoothing) * value / sum(target) + smoothing / 5 for value in target]
        total -= sum(share * (logit - log_sum) for share, logit in zip(smoothed, row, strict=True))
    assert single_label_loss(logits, shares, smoothing)["loss"].item() == pytest.approx(total / 4)


def test_gradient_of_single_labels() -> None:
    """It is (softmax - share) / clips."""
    logits, _, shares = example(4, 5)
    found = gradient(lambda x: single_label_loss(x, shares)["loss"], logits)
    torch.testing.assert_close(found, (logits.softmax(1) - shares / shares.sum(1, keepdim=True)) / 4)


@given(st.floats(-50, 50), st.floats(0.1, 10))
def test_single_labels_ignore_a_shift_of_the_logits_and_the_size_of_the_shares(shift: float, size: float) -> None:
    logits, _, shares = example(4, 5)
    expected = single_label_loss(logits, shares)["loss"].item()
    assert single_label_loss(logits + shift, size * shares)["loss"].item() == pytest.approx(expected)
