"""Tagging metrics against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, roc_auc_score

from efficient_sed.metrics.tagging.score import dprime, mean_average_precision, mean_roc_auc, single_label_metrics


@pytest.mark.parametrize("levels", [5, 10_000])  # with and without ties
@pytest.mark.parametrize("seed", range(4))
def test_against_sklearn(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    logits = (rng.integers(0, levels, (60, 6)) / levels * 20 - 10).astype(np.float32)
    targets = (rng.random((60, 6)) < [0.5, 0.2, 0.05, 0.9, 0.3, 0.0]).astype(np.float32)
    targets[0, 2] = 1
    value, per_class = mean_average_precision(torch.from_numpy(logits), torch.from_numpy(targets), list("abcdef"))
    expected = {label: average_precision_score(targets[:, i], logits[:, i]) for i, label in enumerate("abcde")}
    assert per_class == pytest.approx(expected, abs=1e-5)  # and "f", which never occurs, is left out
    assert value == pytest.approx(np.mean(list(expected.values())), abs=1e-5)


def test_by_hand() -> None:
    value, per_class = mean_average_precision(
        torch.tensor([[3.0], [2.0], [1.0], [0.0]]), torch.tensor([[1.0], [0.0], [1.0], [0.0]]), ["dog"]
    )
    assert value == per_class["dog"] == pytest.approx((1 / 1 + 2 / 3) / 2)


@pytest.mark.parametrize("levels", [5, 10_000])
@pytest.mark.parametrize("seed", range(4))
def test_roc_auc_against_sklearn(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    logits = (rng.integers(0, levels, (60, 6)) / levels * 20 - 10).astype(np.float32)
    targets = (rng.random((60, 6)) < [0.5, 0.2, 0.05, 0.9, 0.0, 1.1]).astype(
        np.float32
    )  # two classes that cannot be told apart
    targets[0, 2] = 1
    expected = roc_auc_score(targets[:, :4], logits[:, :4], average="macro")
    assert mean_roc_auc(torch.from_numpy(logits), torch.from_numpy(targets)) == pytest.approx(expected, abs=1e-12)


def test_roc_auc_needs_both_kinds_of_clips() -> None:
    assert mean_roc_auc(torch.zeros(3, 2), torch.tensor([[1.0, 0.0]] * 3)) is None


@pytest.mark.parametrize(
    ("auc", "expected"), [(0.5, 0.0), (0.975, 2.771808), (0.025, -2.771808), (1.0, None), (0.0, None)]
)
def test_dprime(auc: float, expected: float | None) -> None:
    """1.959964 widths, of the 97.5th percentile, times the root of two."""
    assert dprime(auc) == (expected if expected is None else pytest.approx(expected, abs=1e-6))


def test_one_class_a_clip_against_sklearn() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((50, 5)), rng.integers(0, 4, 50)
    targets, chosen = np.eye(5)[labels], logits.argmax(1)
    assert 4 in chosen  # though no clip is of that class, which is left out of the mean
    per_class = f1_score(labels, chosen, labels=range(4), average=None)
    assert single_label_metrics(torch.from_numpy(logits), torch.from_numpy(targets), list("abcde")) == {
        "accuracy": pytest.approx(accuracy_score(labels, chosen)),
        "f1_macro": pytest.approx(per_class.mean()),
        "f1_per_class": pytest.approx(dict(zip("abcd", per_class, strict=True))),
    }
    targets[3] = [1, 1, 0, 0, 0]
    assert single_label_metrics(torch.from_numpy(logits), torch.from_numpy(targets), list("abcde")) == {}
    assert single_label_metrics(torch.zeros(5, 1), torch.ones(5, 1), ["a"]) == {}
