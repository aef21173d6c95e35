"""Draws the next trials of a search; what is over budget, or was drawn before, is never trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from efficient_sed.experiment.compose import compose_run
from efficient_sed.search.costs import Budget, Cost, CostCounter
from efficient_sed.search.space import Space
from efficient_sed.search.study import OVERRIDES, SIGNATURE, SharedStudy
from efficient_sed.sweep.grid import GridPoint

if TYPE_CHECKING:
    from optuna.trial import Trial

MAX_DRAWS = 100
"""In a row without one that can be trained."""


@dataclass(frozen=True)
class Candidate:
    """A trial whose run is known, with the cost of its model."""

    trial: Trial
    point: GridPoint
    cost: Cost


@dataclass(frozen=True)
class Drawing:
    """What may be drawn."""

    space: Space
    budget: Budget
    counter: CostCounter
    manifest_hash: str

    def draw(self, shared: SharedStudy, number: int) -> list[Candidate]:
        """Up to so many new trials; fewer if a hundred draws in a row are over budget or known."""
        known = shared.signatures()
        found: list[Candidate] = []
        misses = 0
        while len(found) < number and misses < MAX_DRAWS:
            trial = shared.ask()
            overrides = self.space.draw(trial)
            cost = self.counter.count(overrides)
            misses += 1
            if not self.budget.allows(cost):
                shared.skip(trial, f"over budget: {cost}")
                continue
            point = with_hash(overrides, self.manifest_hash)
            if point.signature in known:
                shared.skip(trial, "drawn before")
                continue
            trial.set_user_attr(SIGNATURE, point.signature)
            trial.set_user_attr(OVERRIDES, overrides)
            known.add(point.signature)
            found.append(Candidate(trial, point, cost))
            misses = 0
        return found


def with_hash(overrides: Sequence[str], manifest_hash: str) -> GridPoint:
    """The run of some overrides, on data that are read already."""
    return GridPoint(tuple(overrides), compose_run(overrides), manifest_hash)
