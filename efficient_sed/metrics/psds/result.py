"""A PSDS with its curves and what it was computed with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from efficient_sed.metrics.psds.parameters import PsdsParameters
from efficient_sed.metrics.psds.roc import PsdRoc

NO_EVENTS = "PSDS needs at least one event in the ground truth, found none"


@dataclass(frozen=True)
class PsdsResult:
    """A PSDS and how it was computed."""

    psds: float
    """With `alpha_st` standard deviations over classes taken off; in [0, 1]."""
    macro: float
    """Plain mean over classes of the single-class values: the number that papers quote."""
    per_class: Mapping[str, float]
    """Of classes that have events in the ground truth."""
    num_clips: int
    variant: Mapping[str, Any]
    """Parameters, back end and its version: two values compare only if these agree."""
    roc: PsdRoc
    """The curves whose areas these values are."""

    @property
    def num_classes(self) -> int:
        """How many classes have events in the ground truth."""
        return len(self.per_class)

    def metrics(self) -> dict[str, Any]:
        """The form that results carry: keys begin with the parameters' name, such as "psds1" and "psds1_macro"."""
        name = self.variant["metric"]
        per_class, variant = dict(self.per_class), dict(self.variant)
        return {f"{name}_macro": self.macro, name: self.psds, "per_class": per_class, "variant": variant}


def describe_variant(
    parameters: PsdsParameters, num_classes: int, back_end: str, back_end_version: str
) -> dict[str, Any]:
    """What two values must share to be comparable."""
    numbers = {**asdict(parameters), "num_classes": num_classes}
    return {"metric": parameters.name, **numbers, "back_end": back_end, "back_end_version": back_end_version}
