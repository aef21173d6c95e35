"""What a PSDS measures: its parameters, and those of PSDS1 and PSDS2."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from numbers import Real

from efficient_sed.config.schema import MAX_EFPR
from efficient_sed.errors import ConfigError


@dataclass(frozen=True)
class PsdsParameters:
    """What is measured."""

    dtc: float = 0.7
    gtc: float = 0.7
    alpha_st: float = 1.0
    max_efpr: float = 100.0
    cttc: float | None = None
    alpha_ct: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not isinstance(value, Real) and (name, value) != ("cttc", None):
                raise ConfigError(f"{name}={value!r} is not allowed: a number")
        if self.cttc is not None and not 0 < self.cttc <= 1:
            raise ConfigError(f"cttc={self.cttc} is not allowed: above 0, at most 1")
        for name in ("dtc", "gtc"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name}={getattr(self, name)} is not allowed: above 0, at most 1")
        for name in ("alpha_st", "alpha_ct"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name}={getattr(self, name)} is not allowed: 0 or more")
        if not 0 < self.max_efpr <= MAX_EFPR:
            raise ConfigError(f"max_efpr={self.max_efpr} is not allowed: above 0, at most {MAX_EFPR:g}")
        if (self.cttc is None) != (self.alpha_ct == 0):
            raise ConfigError(
                f"cttc={self.cttc} and alpha_ct={self.alpha_ct} do not go together: give both, or neither for no cost of cross-triggers"
            )

    @property
    def name(self) -> str:
        """What results call it: "psds1" and "psds2" with the parameters of DCASE, else "psds"."""
        return {PSDS1: "psds1", PSDS2: "psds2"}.get(self, "psds")


PSDS1 = PsdsParameters()
PSDS2 = PsdsParameters(dtc=0.1, gtc=0.1, cttc=0.3, alpha_ct=0.5)
