"""How a search ended: its front, and how much of the plane of scores and MACs that dominates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from efficient_sed.experiment.result_file import main_score


class Trained(NamedTuple):
    """A finished run."""

    macs: float
    """Of the model, for a clip of 10 s."""
    validation: float
    """The score that runs are chosen by."""
    test: float
    """The score that counts."""
    result: Mapping[str, Any]


def trained(result: Mapping[str, Any]) -> Trained | None:
    """A finished run by its costs and scores; None if its validation score is not known."""
    validation = validation_score(result)
    if validation is None or result["complexity"] is None:
        return None
    macs = float(result["complexity"]["macs"]) * 10.0 / float(result["complexity"]["seconds"])
    return Trained(macs, validation, float(result["metrics"][main_score(result).key]), result)


def validation_score(result: Mapping[str, Any]) -> float | None:
    """Of the epoch that was kept: higher is better; a loss is turned round."""
    training = result["training"]
    score = training.get("best_score")
    return None if score is None else float(-score if training.get("monitor") == "val/loss" else score)


def front_of(runs: Iterable[Trained]) -> list[Trained]:
    """Those that no other one beats in validation score at no more MACs, the cheapest first."""
    front: list[Trained] = []
    for run in sorted(runs, key=lambda run: (run.macs, -run.validation)):
        if not front or run.validation > front[-1].validation:
            front.append(run)
    return front


def dominated_area(runs: Iterable[Trained], largest_macs: float) -> float:
    """Area below the test scores of the front, over the decimal logarithm of MACs up to the largest.

    The front is chosen by validation scores: the test must not choose.
    """
    front = [run for run in front_of(runs) if run.macs <= largest_macs]
    ends = [*(run.macs for run in front[1:]), largest_macs]
    area, best = 0.0, 0.0
    for run, end in zip(front, ends, strict=False):
        best = max(best, run.test)
        area += best * math.log10(end / run.macs)
    return area


def share_of(own: Sequence[Trained], other: Sequence[Trained], max_macs: int | None) -> float | None:
    """The area that the own front dominates relative to the other's; None where that one dominates none.

    Args:
        own: Runs of the search.
        other: Runs to compare with, of the same data and score.
        max_macs: Up to where; default None: the most that any of the runs has.
    """
    largest = float(max_macs) if max_macs is not None else max(run.macs for run in (*own, *other))
    area = dominated_area(other, largest)
    return dominated_area(own, largest) / area if area else None
