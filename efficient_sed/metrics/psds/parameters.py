"""What a PSDS measures: its parameters, and those of PSDS1 and PSDS2."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from numbers import Real

from efficient_sed.config.evaluation import EvaluationConfig, PsdsConfig
from efficient_sed.errors import ConfigError


@dataclass(frozen=True)
class PsdsParameters(PsdsConfig):
    """What is measured: with `cttc` and `alpha_ct` cross-triggers cost something.

    Raises:
        ConfigError: If a parameter is no number or out of range, or one of `cttc` and `alpha_ct` is given alone.
    """

    cttc: float | None = None
    """Cross-trigger tolerance criterion: share of a false positive that an event of another class must cover."""
    alpha_ct: float = 0.0
    """Cost of cross-triggers."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not isinstance(value, Real) and (name, value) != ("cttc", None):
                raise ConfigError(f"{name}={value!r} is not allowed: a number")
        super().__post_init__()
        if self.cttc is not None and not 0 < self.cttc <= 1:
            raise ConfigError(f"cttc={self.cttc} is not allowed: above 0, at most 1")
        if not 0 <= self.alpha_ct < math.inf:
            raise ConfigError(f"alpha_ct={self.alpha_ct} is not allowed: 0 or more")
        if (self.cttc is None) != (self.alpha_ct == 0):
            given = f"cttc={self.cttc} and alpha_ct={self.alpha_ct}"
            raise ConfigError(f"{given} do not go together: give both, or neither for no cost of cross-triggers")

    @classmethod
    def of(cls, config: EvaluationConfig) -> PsdsParameters:
        """The parameters of a run."""
        return cls(config.dtc, config.gtc, config.alpha_st, config.max_efpr)

    @property
    def name(self) -> str:
        """What results call it: "psds1" and "psds2" with the parameters of DCASE, else "psds"."""
        return {PSDS1: "psds1", PSDS2: "psds2"}.get(self, "psds")


PSDS1 = PsdsParameters()
PSDS2 = PsdsParameters(dtc=0.1, gtc=0.1, cttc=0.3, alpha_ct=0.5)
