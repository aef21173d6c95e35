"""Average precision against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from efficient_sed.evaluation.tagging_metrics import mean_average_precision


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
    value, per_class = mean_average_precision(torch.tensor([[3.0], [2.0], [1.0], [0.0]]), torch.tensor([[1.0], [0.0], [1.0], [0.0]]), ["dog"])
    assert value == per_class["dog"] == pytest.approx((1 / 1 + 2 / 3) / 2)
