"""PSDS weighted by energy.

DCASE Task 4 ranks systems by EW-PSDS = PSDS · kWh of a baseline / kWh of the system, once with the energy of training
and once with that of the test: Ronchini and Serizel, "Performance and energy balance: a comprehensive study of
state-of-the-art sound event detection systems", ICASSP 2024, https://arxiv.org/abs/2310.03455. The baseline's energy
is measured on the same machine in the same way, since the quotient is to be free of both; no figure is built in.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Literal

from efficient_sed.metrics.contracts import TUNED

logger = logging.getLogger(__name__)
WEIGHTED = ("psds1", "psds2")
"""DCASE's values, which take off one standard deviation over classes."""


def energy_weighted(
    metrics: Mapping[str, Any], phase: Literal["training", "test"], kwh: float | None, baseline_kwh: float | None
) -> dict[str, float | None]:
    """Entries of a result beside its PSDS, with and without tuned post-processing.

    Args:
        metrics: Those of the result.
        phase: What used the energy.
        kwh: Energy of the run; None if it was not measured, which makes the entries None.
        baseline_kwh: Energy of the baseline; None for no entries.
    """
    if baseline_kwh is None:
        return {}
    if kwh is None:
        words = "evaluation.baseline_%s_kwh=%g: the energy of this run's %s was not measured; its EW-PSDS is null"
        logger.warning(words, phase, baseline_kwh, phase)
    return {
        f"{key}_ew_{phase}{suffix}": None if not kwh else metrics[f"{key}{suffix}"] * baseline_kwh / kwh
        for key in WEIGHTED
        for suffix in ("", TUNED)
        if metrics.get(f"{key}{suffix}") is not None
    }
