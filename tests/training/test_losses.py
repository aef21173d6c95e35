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
from torch.nn.functional import binary_cross_entropy

from efficient_sed.training import losses as module
from efficient_sed.training.losses import (
    activity_weights,
    consistency_loss,
    detection_loss,
    ramp_up,
    single_label_loss,
    tagging_loss,
    with_weak_labels,
)

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


# clips of several kinds in one batch

STRONG, OTHERS, NOBODY = torch.tensor([1, 4]), torch.tensor([0, 2, 3]), torch.tensor([], dtype=torch.long)


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("num_strong", [2, 3])
def test_advanced_distillation_against_the_formula(weight: float, num_strong: int) -> None:
    """The published one takes the teacher's term by halves from strong and weak clips, of which a batch has as many."""
    logits, labels, teacher = example(2 * num_strong, 3, 7)
    strong, weak = torch.arange(num_strong), torch.arange(num_strong, 2 * num_strong)
    losses = detection_loss(logits, labels, teacher, weight, strong, torch.arange(2 * num_strong))
    supervised = mean_cross_entropy(logits[strong], labels[strong])
    on_strong, on_weak = (mean_cross_entropy(logits[rows], teacher[rows]) for rows in (strong, weak))
    expected = (1 - weight) * supervised + weight * (0.5 * on_strong + 0.5 * on_weak)
    assert losses["loss"].item() == pytest.approx(expected, abs=1e-9)


def test_labels_of_other_rows_are_ignored() -> None:
    logits, labels, teacher = example(5, 3, 7)
    expected = detection_loss(logits, labels, teacher, 0.9, STRONG)["loss"]
    labels[OTHERS] = torch.nan
    torch.testing.assert_close(detection_loss(logits, labels, teacher, 0.9, STRONG)["loss"], expected)
    found = gradient(lambda x: detection_loss(x, labels, teacher, 0.0, STRONG)["loss"], logits)
    assert found[OTHERS].abs().sum() == 0
    assert found[STRONG].abs().sum() > 0


def test_without_labelled_clips_the_teacher_is_all() -> None:
    logits, labels, teacher = example(5, 3, 7)
    losses = detection_loss(logits, labels, teacher, 0.9, NOBODY)
    assert losses["supervised"].item() == 0
    assert losses["loss"].item() == pytest.approx(0.9 * mean_cross_entropy(logits, teacher))


def test_all_rows_by_name_are_all_rows() -> None:
    logits, labels, teacher = example(5, 3, 7)
    found = detection_loss(logits, labels, teacher, 0.9, torch.arange(5), torch.arange(5))
    torch.testing.assert_close(found, detection_loss(logits, labels, teacher, 0.9), rtol=0, atol=0)


def test_weak_clips_are_judged_by_their_clip_scores() -> None:
    logits, labels, teacher = example(5, 3, 7)
    clip_logits, clip_labels, _ = example(5, 3, seed=1)
    frames = detection_loss(logits, labels, teacher, 0.3, STRONG, STRONG)
    losses = with_weak_labels(frames, clip_logits, clip_labels, 0.3, OTHERS)
    weak = mean_cross_entropy(clip_logits[OTHERS], clip_labels[OTHERS])
    assert losses["weak"].item() == pytest.approx(weak)
    assert losses["supervised"].item() == pytest.approx(frames["supervised"].item() + weak)
    assert losses["loss"].item() == pytest.approx(frames["loss"].item() + 0.7 * weak)
    assert with_weak_labels(frames, clip_logits, clip_labels, 0.3, NOBODY)["loss"] == frames["loss"]


@pytest.mark.parametrize("shape", [(5, 3, 7), (5, 3)])
def test_classes_that_are_not_annotated_count_nowhere(shape: tuple[int, ...]) -> None:
    """Each term is the mean over the entries that are left."""
    logits, labels, teacher = example(*shape)
    annotated = torch.rand(5, 3, generator=torch.Generator().manual_seed(2)) > 0.4
    is_kept = annotated.view(5, 3, *[1] * (len(shape) - 2)).expand(shape)
    expected = 0.4 * mean_cross_entropy(logits[is_kept], labels[is_kept])
    expected += 0.6 * mean_cross_entropy(logits[OTHERS][is_kept[OTHERS]], teacher[OTHERS][is_kept[OTHERS]])
    losses = detection_loss(logits, labels, teacher, 0.6, distilled=OTHERS, annotated=annotated)
    assert losses["loss"].item() == pytest.approx(expected)
    labels[~is_kept], teacher[~is_kept] = 0.5, 0.5
    found = gradient(
        lambda x: detection_loss(x, labels, teacher, 0.6, distilled=OTHERS, annotated=annotated)["loss"], logits
    )
    assert found[~is_kept].abs().sum() == 0
    assert not torch.isnan(detection_loss(logits, labels, teacher, 0.6, annotated=torch.zeros_like(annotated))["loss"])


def test_consistency_by_hand() -> None:
    frames, clips = example(5, 3, 7)[2], example(5, 3)[2]
    other_frames, other_clips = example(5, 3, 7, seed=1)[2], example(5, 3, seed=1)[2]
    expected = ((frames - other_frames)[OTHERS] ** 2).mean() + ((clips - other_clips)[OTHERS] ** 2).mean()
    found = consistency_loss([frames, clips], [other_frames, other_clips], OTHERS)
    torch.testing.assert_close(found, expected)
    assert consistency_loss([frames, clips], [other_frames, other_clips], NOBODY) == 0
    own, other = frames[OTHERS], other_frames[OTHERS]
    entropy = -(other * own.log() + (1 - other) * (1 - own).log()).mean()
    torch.testing.assert_close(consistency_loss([frames], [other_frames], OTHERS, kind="bce"), entropy)
    mask = torch.tensor([[True, False, False]]).expand(5, 3)
    masked = consistency_loss([frames], [other_frames], OTHERS, mask)
    torch.testing.assert_close(masked, ((frames - other_frames)[OTHERS, 0] ** 2).mean())


def test_consistency_by_cross_entropy_is_not_in_mixed_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch refuses it there on a GPU."""
    seen: list[bool] = []

    def watched(*values: Tensor, **options: str) -> Tensor:
        seen.append(torch.is_autocast_enabled("cpu"))
        return binary_cross_entropy(*values, **options)

    monkeypatch.setattr(module, "binary_cross_entropy", watched)
    scores = example(5, 3)[2]
    with torch.autocast("cpu"):
        consistency_loss([scores], [scores], OTHERS, kind="bce")
    assert seen == [False]


def test_ramp_up() -> None:
    assert [ramp_up(x) for x in (0.0, 0.5, 1.0, 3.0)] == pytest.approx([math.exp(-5), math.exp(-1.25), 1.0, 1.0])


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


# frames of short classes


def test_frames_of_short_classes_weigh_more() -> None:
    shares = torch.tensor([0.5, 0.1, 0.01, 0.0])
    torch.testing.assert_close(activity_weights(shares, 0.5), torch.tensor([1.0, 3.0, 99**0.5, 1.0]))
    torch.testing.assert_close(activity_weights(shares, 0.0), torch.ones(4))


def test_weights_are_on_frames_with_a_class_alone() -> None:
    logits, labels, _ = example(2, 3, 5)
    weights = torch.tensor([[1.0], [3.0], [10.0]], dtype=torch.float64)
    every = torch.tensor(cross_entropies(logits, labels), dtype=torch.float64).reshape(logits.shape)
    expected = (every * torch.where(labels > 0, weights, 1.0)).mean()
    found = detection_loss(logits, labels, labels, 0.0, active_weights=weights)
    torch.testing.assert_close(found["loss"], expected)
    plain = detection_loss(logits, labels, labels, 0.3)
    torch.testing.assert_close(found["distillation"], plain["distillation"])
