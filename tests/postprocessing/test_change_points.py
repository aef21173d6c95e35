"""Change points equal their definition in fractions, and the boxes that the published package gave."""

from __future__ import annotations

import itertools
import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from efficient_sed.errors import ConfigError
from efficient_sed.postprocessing.change_points import ChangePoints

CASES = json.loads((Path(__file__).parent / "sebbs_cases.json").read_text())["cases"]
STEPS_S = (0.48, 0.32, 0.64, 0.12, 0.2, 0.02, 0.01, 30.0)
Box = tuple[float, float, float]


def boxes_slowly(row: list[float], hop_s: float, step_s: float, absolute: float, relative: float) -> list[Box]:
    """(begin, end, mean) in frames, from the paper's definition."""
    length, half = len(row), Fraction(round(step_s / 2 / hop_s * 1024), 1024)
    exact = [Fraction(math.floor(value * 2**30 + 0.5), 2**30) for value in row]

    def area(begin: Fraction, end: Fraction) -> Fraction:
        first, last = max(0, math.floor(begin)), min(length, math.ceil(end))
        parts = (exact[k] * (min(end, k + 1) - max(begin, k)) for k in range(first, last))
        return sum(parts, start=Fraction(0))

    rest = half % 1  # a time at which t - half, t or t + half meets a frame's border
    times = sorted({t for k in range(length + 1) for t in (Fraction(k), k + rest, k + 1 - rest) if t <= length})
    outputs = [area(time, time + half) - area(time - half, time) for time in times]
    falls = [after <= before for before, after in itertools.pairwise(outputs)]
    events: list[list[Fraction]] = []
    for k, is_falling in enumerate(falls):
        if is_falling and (k == 0 or not falls[k - 1]):
            events.append([times[k], times[k + 1]])
        elif is_falling:
            events[-1][1] = times[k + 1]

    def inside(begin: Fraction, end: Fraction) -> list[float]:
        return [value for k, value in enumerate(row) if k + 1 > begin and k < end]

    boxes: list[list[Fraction]] = []
    for k, (begin, end) in enumerate(events):
        is_joined = False
        if k:
            least = min(inside(events[k - 1][1], begin))
            largest = [max(inside(*event)) for event in (events[k - 1], (begin, end))]
            is_joined = all(
                value - least < absolute and (value + 1e-3) / (least + 1e-3) < relative for value in largest
            )
        if is_joined:
            boxes[-1][1] = end
        else:
            boxes.append([begin, end])
    return [(float(begin), float(end), float(area(begin, end) / (end - begin))) for begin, end in boxes]


@st.composite
def rows(draw: st.DrawFn) -> list[list[float]]:
    """Scores of two classes on a coarse scale with long stretches of the same, or on a fine one."""
    scale = draw(st.sampled_from([2, 4, 1000]))
    length = draw(st.integers(1, 24))
    stretch = st.tuples(st.integers(0, scale), st.integers(1, 6))
    columns = []
    for _ in range(2):
        values = [
            value for value, times in draw(st.lists(stretch, min_size=length, max_size=length)) for _ in range(times)
        ]
        columns.append([value / scale for value in values[:length]])
    return columns


LIMITS = st.sampled_from([(math.inf, 1.5), (0.2, math.inf), (0.5, math.inf), (0.3, 2.0), (0.0, 1.0), (math.inf,) * 2])


@given(rows(), st.sampled_from([0.04, 0.032, 0.02]), st.sampled_from(STEPS_S), st.sampled_from(STEPS_S), LIMITS, LIMITS)
@example([[0.5], [0.0]], 0.04, 0.48, 0.01, (0.2, math.inf), (0.2, math.inf))
@example([[0.5] * 9, [0.0] * 9], 0.04, 0.48, 0.12, (0.2, math.inf), (0.2, math.inf))
def test_boxes_equal_their_definition(
    columns: list[list[float]],
    hop_s: float,
    first_step_s: float,
    second_step_s: float,
    first: tuple[float, float],
    second: tuple[float, float],
) -> None:
    """Parameters of each class, ties, steps longer than the clip or shorter than a frame, and the boxes' curve."""
    scores = np.array(columns).T
    own = [(first_step_s, *first), (second_step_s, *second)]
    method = ChangePoints(*map(tuple, zip(*own, strict=True)))
    found, curve = method.boxes(scores, hop_s), method.apply(scores, hop_s)
    for column in range(2):
        want = boxes_slowly(columns[column], hop_s, *own[column])
        here = found.column == column
        got = np.stack([found.onset_s[here] / hop_s, found.offset_s[here] / hop_s, found.confidence[here]], 1)
        np.testing.assert_allclose(got, np.array(want).reshape(-1, 3), rtol=1e-9, atol=1e-9)
        expected = np.zeros(len(scores))
        for begin, end, mean in want:
            centres = np.arange(len(scores)) + 0.5
            expected[(begin <= centres) & (centres < end)] = mean
        np.testing.assert_allclose(curve[:, column], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{len(case['scores'])}x{case['hop_s']}-{case['step_s']}")
def test_boxes_of_the_published_package(case: dict) -> None:
    limits = (math.inf if case[name] is None else case[name] for name in ("absolute", "relative"))
    found = ChangePoints(case["step_s"], *limits).boxes(np.array(case["scores"]), case["hop_s"])
    for column, want in enumerate(case["boxes"]):
        here = found.column == column
        got = np.stack([values[here] for values in found[1:]], 1)
        np.testing.assert_allclose(got[:, :2], np.array(want)[:, :2], atol=1e-5)
        np.testing.assert_allclose(got[:, 2], np.array(want)[:, 2], rtol=5e-4, atol=1e-6)


def test_grid_is_the_papers() -> None:
    candidates = ChangePoints.grid(0.04)
    assert len(candidates) == len(set(candidates)) == 18
    assert all(math.isinf(method.absolute) != math.isinf(method.relative) for method in candidates)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_types_and_rows_that_lie_apart(dtype: type) -> None:
    scores = np.random.default_rng(0).integers(0, 9, (80, 6)).astype(dtype)[:, ::2] / 8
    curve = ChangePoints(0.16, 0.3).apply(scores, 0.04)
    assert curve.dtype == dtype
    np.testing.assert_allclose(curve, ChangePoints(0.16, 0.3).apply(scores.astype(np.float64), 0.04), rtol=1e-3)


def test_what_is_certain_not_to_occur_has_no_confidence() -> None:
    np.testing.assert_array_equal(ChangePoints().apply(np.full((20, 1), -np.inf), 0.04), np.zeros((20, 1)))


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"step_s": 0.0}, r"change_points\.step_s=0\.0"),
        ({"step_s": (0.5, math.nan)}, r"change_points\.step_s=nan"),
        ({"absolute": -0.1}, r"change_points\.absolute=-0\.1"),
        ({"relative": 0.9}, r"change_points\.relative=0\.9"),
    ],
)
def test_parameters_that_are_not_allowed(values: dict, line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        ChangePoints(**values)
