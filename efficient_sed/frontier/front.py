"""The Pareto front, and which points may share one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from efficient_sed.errors import DataError
from efficient_sed.frontier.axes import COMPLEXITY_METRICS, score_axes
from efficient_sed.frontier.points import Point


def pareto_front(points: Iterable[Point], x: str) -> list[Point]:
    """Points that no other one dominates, by ascending complexity.

    Equal points are all kept, those with extra training data or without `x` left out.

    A point dominates another if it is no worse in score and complexity and better in one of them.

    Args:
        points: Of one score.
        x: Key of `COMPLEXITY_METRICS`.
    """
    axes = score_axes()
    sign = 1 if COMPLEXITY_METRICS[x].is_lower_better else -1

    def worth(point: Point) -> float:
        axis = axes.get(point.metric)
        return point.score if axis is None or axis.is_higher_better else -point.score

    candidates = (point for point in points if x in point.complexity and not point.has_extra_training_data)
    front: list[Point] = []
    for point in sorted(candidates, key=lambda point: (sign * point.complexity[x], -worth(point))):
        is_equal = bool(front) and (point.score, point.complexity[x]) == (front[-1].score, front[-1].complexity[x])
        if not front or worth(point) > worth(front[-1]) or is_equal:
            front.append(point)
    return front[::sign]


def comparable_sets(points: Iterable[Point], x: str) -> list[list[Point]]:
    """Points that share a front: their scores compare, and where `x` has to be, it was measured alike."""
    sets: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        sets.setdefault((repr(sorted(point.conditions.items())), point.measured_by(x)), []).append(point)
    return list(sets.values())


def group_by_metric(points: Iterable[Point]) -> list[list[Point]]:
    """Points of one score together, in the order in which scores come first."""
    groups: dict[str, list[Point]] = {}
    for point in points:
        groups.setdefault(point.metric, []).append(point)
    return list(groups.values())


def group_comparable(points: Iterable[Point]) -> list[list[Point]]:
    """Sets of points whose data and metric variant agree, the largest first."""
    groups: list[list[Point]] = []
    for point in points:
        group = next((group for group in groups if group[0].conditions == point.conditions), None)
        if group is None:
            groups.append([point])
        else:
            group.append(point)
    return sorted(groups, key=len, reverse=True)


def find_mismatch(points: Sequence[Point]) -> str | None:
    """The first two runs that do not compare, and what differs in data or metric variant; None if all compare."""
    for point in points[1:]:
        own, other = points[0].conditions, point.conditions
        differing = [
            f"{key} {own.get(key)!r} against {other.get(key)!r}"
            for key in {**own, **other}
            if own.get(key) != other.get(key)
        ]
        if differing:
            return f"{points[0].origin} and {point.origin} differ in {', '.join(differing)}"
    return None


def check_comparable(points: Sequence[Point]) -> None:
    """Raise a DataError if two runs differ in data or metric variant."""
    mismatch = find_mismatch(points)
    if mismatch:
        error = DataError(f"{mismatch}; plot them apart, or together with --allow-mixed (in Python, allow_mixed=True)")
        error.command_line_message = f"{mismatch}; plot them apart, or together with --allow-mixed"
        raise error
