"""Draws the next trials of a search; what is over budget, or was drawn before, is never trained."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from efficient_sed.errors import ConfigError
from efficient_sed.experiment.compose import compose_run
from efficient_sed.search.costs import Cost, count_cost
from efficient_sed.search.space import Space
from efficient_sed.search.study import OVERRIDES, SIGNATURE, SharedStudy
from efficient_sed.sweep.grid import GridPoint

if TYPE_CHECKING:
    from optuna.trial import Trial

MAX_DRAWS = 100
"""In a row without one that can be trained."""
ARCHITECTURE = ("backbone", "seq", "classifier")
"""Groups that decide what a model costs."""


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
    num_classes: int
    manifest_hash: str
    max_macs: int | None = None
    max_params: int | None = None

    def draw(self, shared: SharedStudy, number: int) -> list[Candidate]:
        """Up to so many new trials; fewer if the space holds no more of them within the budget.

        Raises:
            ConfigError: If nothing of the space is within the budget; the message names what is cheapest.
        """
        known = shared.signatures()
        found: list[Candidate] = []
        misses = 0
        while len(found) < number and misses < MAX_DRAWS:
            trial = shared.ask()
            overrides = self.space.draw(trial)
            point = with_hash(overrides, self.manifest_hash)
            cost = count_cost(point.config, self.num_classes)
            if not cost.is_within(self.max_macs, self.max_params):
                shared.skip(trial, f"over budget: {cost}")
                misses += 1
            elif point.signature in known:
                shared.skip(trial, "drawn before")
                misses += 1
            else:
                trial.set_user_attr(SIGNATURE, point.signature)
                trial.set_user_attr(OVERRIDES, overrides)
                known.add(point.signature)
                found.append(Candidate(trial, point, cost))
                misses = 0
        if not found and not known:
            self._enqueue_cheapest(shared)
            return self.draw(shared, number)
        return found

    def _enqueue_cheapest(self, shared: SharedStudy) -> None:
        """Begin with the cheapest model where hardly any is within the budget.

        Raises:
            ConfigError: If it is over the budget itself.
        """
        cost, values = min(self._architectures(), key=lambda pair: pair[0])
        if not cost.is_within(self.max_macs, self.max_params):
            limits = {"--max-macs": self.max_macs, "--max-params": self.max_params}
            budget = " ".join(f"{option} {limit}" for option, limit in limits.items() if limit is not None)
            shown = " ".join(f"{key}={value}" for key, value in values.items())
            raise ConfigError(f"{budget}: nothing in the space meets that; the cheapest, {shown}, has {cost}")
        shared.study.enqueue_trial(values)

    def _architectures(self) -> Iterator[tuple[Cost, dict[str, str]]]:
        """The cost of every combination of choices that decide it; of a range the lower end."""
        deciding = [d for d in self.space.dimensions if d.key.split(".")[0] in ARCHITECTURE]
        values = [dimension.choices or (f"{dimension.low:g}",) for dimension in deciding]
        for combination in itertools.product(*values):
            chosen = dict(zip((dimension.key for dimension in deciding), combination, strict=True))
            yield count_cost(compose_run(self.space.overrides(chosen)), self.num_classes), chosen


def with_hash(overrides: Sequence[str], manifest_hash: str) -> GridPoint:
    """The run of some overrides, on data that are read already."""
    return GridPoint(tuple(overrides), compose_run(overrides), manifest_hash)
