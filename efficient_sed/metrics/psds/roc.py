"""PSD-ROC: from counts of each class to curves and the areas below them.

Bilen et al., "A framework for the robust evaluation of sound event detection", ICASSP 2020
(https://arxiv.org/abs/1910.08440), section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

HOUR_S = 3600.0
MOST = 2**53  # false alarms: beyond it a float does not know one more
_BLOCK = 4096  # points of the common axis that are pooled at once: bounds memory


class Curve(NamedTuple):
    """A staircase: from efpr[i] on, up to the next point, the rate is tpr[i]."""

    efpr: np.ndarray
    """False positives an hour, ascending from 0."""
    tpr: np.ndarray


@dataclass(frozen=True)
class PsdRoc:
    """The curves behind a PSDS."""

    efpr: np.ndarray
    """Points of all classes, false positives an hour, ascending from 0 to the cut."""
    etpr: np.ndarray
    """True-positive rate less `alpha_st` standard deviations over classes, at least 0."""
    macro_tpr: np.ndarray
    """Its plain mean over classes."""
    per_class: Mapping[str, Curve]


def max_alarms(duration_s: float, max_efpr: float) -> int:
    """Largest number of false alarms that is within the cut."""
    count = int(min(MOST, max_efpr * duration_s / HOUR_S))
    while rate(count, duration_s) > max_efpr:
        count -= 1
    while count < MOST and rate(count + 1, duration_s) <= max_efpr:
        count += 1
    return count


def rate(alarms: int, duration_s: float) -> float:
    """False alarms an hour, rounded as sed_scores_eval rounds it."""
    return alarms / duration_s * HOUR_S


def class_curve(fewest: np.ndarray, duration_s: float, max_efpr: float) -> Curve:
    """Best rate of true positives within each effective rate of false positives.

    Args:
        fewest: Fewest false alarms at which so many events or more are found, of 0 events to all of the class.
        duration_s: Length of all clips.
        max_efpr: False positives an hour at which the curve is cut.
    """
    efpr = fewest / duration_s * HOUR_S
    is_last = np.append(efpr[1:] != efpr[:-1], True) & (efpr <= max_efpr)
    return Curve(efpr[is_last], np.flatnonzero(is_last) / (len(fewest) - 1))


def area(curve: Curve, max_efpr: float) -> float:
    """Area below a staircase up to the cut, as a share of the whole."""
    return float(np.sum(curve.tpr * np.diff(np.append(curve.efpr, max_efpr))) / max_efpr)


def pool_classes(per_class: Mapping[str, Curve], alpha_st: float) -> PsdRoc:
    """Mean and deviation over classes at every point where a class's curve has a step."""
    efpr = np.unique(np.concatenate([curve.efpr for curve in per_class.values()]))
    mean, deviation = np.empty(len(efpr)), np.empty(len(efpr))
    for first in range(0, len(efpr), _BLOCK):
        block = slice(first, first + _BLOCK)
        rates = np.stack(
            [curve.tpr[np.searchsorted(curve.efpr, efpr[block], side="right") - 1] for curve in per_class.values()]
        )
        mean[block], deviation[block] = rates.mean(axis=0), rates.std(axis=0)
    return PsdRoc(efpr, np.maximum(mean - alpha_st * deviation, 0.0), mean, per_class)
