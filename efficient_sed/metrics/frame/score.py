"""Errors of classes that are active or not, in frames or segments.

Mesaros et al., "Metrics for polyphonic sound event detection", 2016 (https://doi.org/10.3390/app6060162), section 4.
"""

from __future__ import annotations

import numpy as np


def count_errors(missed: np.ndarray, wrong: np.ndarray) -> int:
    """Substitutions, deletions and insertions from the numbers of missed and of wrong classes in each step.

    One of both makes one substitution.
    """
    return int(np.maximum(missed, wrong).sum())
