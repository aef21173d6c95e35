"""Draws the next trials of a search; what is over budget, not allowed or was drawn before is never trained."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from efficient_sed.errors import ConfigError
from efficient_sed.experiment.compose import compose_run
from efficient_sed.search.costs import Budget, Cost, CostCounter
from efficient_sed.search.space import Space
from efficient_sed.search.study import OVERRIDES, SIGNATURE, SharedStudy
from efficient_sed.sweep.grid import GridPoint

if TYPE_CHECKING:
    from optuna.trial import Trial

MAX_DRAWS = 100
"""In a row without one that can be trained."""
DRAWN_BEFORE = "drawn before"


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
        """Up to so many new trials; fewer if a hundred draws in a row are over budget, not allowed or known.

        Of several processes one draws at a time: with one seed they would draw the same at once.
        """
        found: list[Candidate] = []
        misses = 0
        with shared.drawing():
            known = shared.signatures()
            while len(found) < number and misses < MAX_DRAWS:
                trial = shared.ask()
                drawn = self._candidate(trial, known)
                if isinstance(drawn, str):
                    shared.skip(trial, drawn)
                    misses += 1
                    continue
                trial.set_user_attr(SIGNATURE, drawn.point.signature)
                trial.set_user_attr(OVERRIDES, list(drawn.point.overrides))
                known.add(drawn.point.signature)
                found.append(drawn)
                misses = 0
        return found

    def _candidate(self, trial: Trial, known: Collection[str]) -> Candidate | str:
        """What a trial draws, or why it is not trained."""
        overrides = self.space.draw(trial)
        try:
            cost = self.counter.count(overrides)
            if not self.budget.allows(cost):
                return f"over budget: {cost}"
            point = with_hash(overrides, self.manifest_hash)
        except ConfigError as error:  # values that do not go together, such as a size that a head cannot divide
            return f"not allowed: {error}"
        return DRAWN_BEFORE if point.signature in known else Candidate(trial, point, cost)


def with_hash(overrides: Sequence[str], manifest_hash: str) -> GridPoint:
    """The run of some overrides, on data that are read already."""
    return GridPoint(tuple(overrides), compose_run(overrides), manifest_hash)
