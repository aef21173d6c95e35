"""PSDS as if every operating point had the post-processing that suits it best (piPSDS): a bound, not a score.

Ebbers, Haeb-Umbach and Serizel, "Post-processing independent evaluation of sound event detection systems", DCASE 2023
(https://arxiv.org/abs/2306.15440).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from efficient_sed.errors import DataError
from efficient_sed.metrics.psds.result import PsdsResult
from efficient_sed.metrics.psds.roc import Curve, area, pool_classes


def pi_psds(candidates: Sequence[PsdsResult]) -> PsdsResult:
    """Bound on the PSDS of one system under several post-processings, by the upper envelope of each class's curves.

    No choice among the candidates, not even another one for each class and threshold, scores higher on these clips.

    Args:
        candidates: One result for each post-processing, of the same clips and parameters.

    Returns:
        As the candidates', with the metric called "pi_psds1" and so on.

    Raises:
        DataError: If there is no candidate, or they differ in parameters, classes or the number of clips.
    """
    if not candidates:
        raise DataError("piPSDS needs at least one candidate, got none")
    first = candidates[0]
    for number, other in enumerate(candidates):
        for what, own, its in (
            ("variant", first.variant, other.variant),
            ("classes", list(first.per_class), list(other.per_class)),
            ("number of clips", first.num_clips, other.num_clips),
        ):
            if own != its:
                raise DataError(f"piPSDS: candidate {number} has another {what} than candidate 0 ({its}, {own})")
    curves = {
        label: upper_envelope([candidate.roc.per_class[label] for candidate in candidates]) for label in first.per_class
    }
    max_efpr = float(first.variant["max_efpr"])
    roc = pool_classes(curves, float(first.variant["alpha_st"]))
    single = {label: area(curve, max_efpr) for label, curve in curves.items()}
    variant = {**first.variant, "metric": f"pi_{first.variant['metric']}"}
    psds = area(Curve(roc.efpr, roc.etpr), max_efpr)
    return PsdsResult(psds, float(np.mean(list(single.values()))), single, first.num_clips, variant, roc)


def upper_envelope(curves: Sequence[Curve]) -> Curve:
    """The highest of several staircases everywhere."""
    efpr = np.concatenate([curve.efpr for curve in curves])
    order = np.argsort(efpr, kind="stable")
    efpr, tpr = efpr[order], np.maximum.accumulate(np.concatenate([curve.tpr for curve in curves])[order])
    is_last = np.append(efpr[1:] != efpr[:-1], True)
    return Curve(efpr[is_last], tpr[is_last])
