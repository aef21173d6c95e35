"""False alarms an hour, counted by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.config.evaluation import EvaluationConfig
from efficient_sed.errors import DataError
from efficient_sed.metrics.contracts import Setting, all_scores
from efficient_sed.metrics.negatives import ALARMS, FalseAlarms

CLASSES = ("cat", "dog")


def metric(thresholds: tuple[float, ...] | None = None) -> FalseAlarms:
    return FalseAlarms.create(Setting(CLASSES, [18.0], FrameGrid(), EvaluationConfig(), thresholds=thresholds))


def scores(cat: Sequence[float], dog: Sequence[float]) -> np.ndarray:
    return np.array([cat, dog], np.float32).T


def test_counted_by_hand() -> None:
    own, other = metric(), metric()
    own.update("a", scores([0.6, 0.2, 0.5, 0.9], [0.1, 0.4, 0.4, 0.1]), (), 18.0)
    other.update("b", scores([0.1, 0.1], [0.1, 0.8]), (), 18.0)
    own.merge(other)
    assert own.metrics() == {
        "negatives_false_alarms_per_hour": pytest.approx(300.0),
        "per_class_negatives": {
            "cat": {"false_alarms": 2, "false_alarms_per_hour": pytest.approx(200.0)},
            "dog": {"false_alarms": 1, "false_alarms_per_hour": pytest.approx(100.0)},
        },
        "negatives": {"recordings": 2, "hours": pytest.approx(0.01), "threshold": 0.5},
    }


def test_thresholds_of_each_class() -> None:
    own = metric((0.8, 0.3))
    own.update("a", scores([0.6, 0.2, 0.5, 0.9], [0.1, 0.4, 0.4, 0.1]), (), 18.0)
    found = own.metrics()
    assert [entry["false_alarms"] for entry in found["per_class_negatives"].values()] == [1, 1]
    assert found["negatives"]["threshold"] == "per class"


def test_nothing_and_no_number() -> None:
    assert metric().metrics()[ALARMS.key] is None
    with pytest.raises(DataError, match=r"recording 'a': .* not a number"):
        metric().update("a", scores([np.nan], [0.1]), (), 1.0)


def test_declared_with_its_tuned_twin() -> None:
    declared = all_scores("detection")
    for key in (ALARMS.key, f"{ALARMS.key}_tuned"):
        assert not declared[key].is_higher_better
        assert declared[key].unit == "1/h"
