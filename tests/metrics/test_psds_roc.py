"""Curves and areas against loops over their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from efficient_sed.metrics.psds._rates import fewest_alarms
from efficient_sed.metrics.psds.roc import Curve, area, class_curve, max_alarms, pool_classes, rate

entries = st.lists(st.tuples(st.integers(0, 6), st.integers(-1, 2), st.integers(-1, 2)), max_size=30)
"""Score, change of hits, change of false alarms."""


def slow_curve(
    changes: list[tuple[int, int, int]], num_events: int, duration_s: float, max_efpr: float
) -> dict[float, float]:
    """By rate of false positives the most that any threshold within it finds."""
    points = [(0.0, 0.0)]
    for threshold in sorted({score for score, _, _ in changes}, reverse=True):
        found = sum(hits for score, hits, _ in changes if score >= threshold)
        false = sum(alarms for score, _, alarms in changes if score >= threshold)
        points.append((false / duration_s * 3600, found / num_events))
    within = [(efpr, tpr) for efpr, tpr in points if efpr <= max_efpr]
    return {efpr: max(tpr for other, tpr in within if other <= efpr) for efpr in sorted({efpr for efpr, _ in within})}


@given(entries, st.sampled_from([10.0, 36.0, 3600.0, 123.4]), st.sampled_from([0.5, 30.0, 100.0, 1e5]))
def test_curve_of_a_class(changes: list[tuple[int, int, int]], duration_s: float, max_efpr: float) -> None:
    alarms = 0
    ordered: list[tuple[int, int, int]] = []
    found = 0
    for score, hits, change in sorted(changes, reverse=True):  # counts are never negative, nor are more found than all
        kept, kept_hits = max(change, -alarms), min(max(hits, -found), 3 - found)
        alarms, found = alarms + kept, found + kept_hits
        ordered.append((score, kept_hits, kept))
    array = np.array(ordered or np.empty((0, 3)), dtype=np.int64)
    scores, hits, false = (np.ascontiguousarray(column) for column in array.T)
    fewest = np.empty(4)
    clips, unknown = np.zeros(len(array), np.int64), (np.zeros(0, np.int64), np.zeros(0, np.bool_))
    once, costs = np.ones(1, np.int64), np.zeros(0)
    fewest_alarms(0, len(array), scores, clips, hits, false, *unknown, once, costs, np.inf, fewest)
    curve = class_curve(fewest, duration_s, max_efpr)
    expected = slow_curve(ordered, 3, duration_s, max_efpr)
    assert set(curve.efpr.tolist()) <= set(expected)
    np.testing.assert_allclose([at(curve, efpr) for efpr in expected], list(expected.values()), atol=1e-12)


curves = st.lists(
    st.lists(st.tuples(st.integers(1, 20), st.floats(0, 1)), max_size=8).map(
        lambda steps: Curve(
            np.array([0.0, *sorted({float(efpr) for efpr, _ in steps})]),
            np.sort(np.linspace(0, 1, len({efpr for efpr, _ in steps}) + 1)),
        )
    ),
    min_size=1,
    max_size=5,
)


def at(curve: Curve, efpr: float) -> float:
    return float(curve.tpr[[index for index, own in enumerate(curve.efpr) if own <= efpr][-1]])


@given(curves, st.sampled_from([0.0, 1.0, 2.5]))
def test_pooled_curve_and_area(own: list[Curve], alpha_st: float) -> None:
    per_class = {str(index): curve for index, curve in enumerate(own)}
    roc = pool_classes(per_class, alpha_st)
    assert roc.efpr.tolist() == sorted({float(efpr) for curve in own for efpr in curve.efpr})
    for index, efpr in enumerate(roc.efpr):
        rates = [at(curve, efpr) for curve in own]
        assert roc.macro_tpr[index] == pytest.approx(np.mean(rates))
        assert roc.etpr[index] == pytest.approx(max(np.mean(rates) - alpha_st * np.std(rates), 0))
    steps = np.arange(0, 25, 0.5)  # the curves' borders lie on these
    for curve in own:
        assert area(curve, 25.0) == pytest.approx(sum(at(curve, step) * 0.5 for step in steps) / 25)


@given(st.floats(0.5, 1e6), st.floats(0.01, 1e6))
def test_most_alarms_within_the_cut(duration_s: float, max_efpr: float) -> None:
    count = max_alarms(duration_s, max_efpr)
    assert rate(count, duration_s) <= max_efpr < rate(count + 1, duration_s)
