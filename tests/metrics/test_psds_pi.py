"""The bound over post-processings, against sed_scores_eval and against a loop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_psds_exact import CLASSES, Case, better, make_case, noise

from efficient_sed.errors import DataError
from efficient_sed.metrics.psds.parameters import PSDS2
from efficient_sed.metrics.psds.pi import pi_psds, upper_envelope
from efficient_sed.metrics.psds.roc import Curve


def without(case: Case, column: int) -> Case:
    """Scores of one class say nothing."""
    scores = {clip: np.where(np.arange(3) == column, 0.5, array) for clip, array in case.scores.items()}
    return case._replace(scores=scores)


@pytest.mark.filterwarnings("ignore")  # the library uses what is deprecated
@pytest.mark.parametrize("parameters", [PSDS2, replace(PSDS2, cttc=None, alpha_ct=0.0, alpha_st=0.5)])
def test_equals_the_library(parameters: object) -> None:
    from sed_scores_eval import intersection_based
    from sed_scores_eval.base_modules.scores import create_score_dataframe

    case = noise(40)._replace(parameters=replace(parameters, max_efpr=2000.0))
    candidates = [case, without(better(case), 0), without(better(case), 1)]
    present = list(CLASSES[:2])
    tables = [
        {
            clip: create_score_dataframe(array[:, :2], np.round(np.arange(len(array) + 1) * case.hop_s, 6), present)
            for clip, array in candidate.scores.items()
        }
        for candidate in candidates
    ]
    psds, single, *_ = intersection_based.postprocessing_independent_psds(
        range(3), case.truth, case.durations,
        postprocessing_functions=[lambda *_, own=own, **__: own for own in tables],
        dtc_threshold=case.parameters.dtc, gtc_threshold=case.parameters.gtc, cttc_threshold=case.parameters.cttc,
        alpha_ct=case.parameters.alpha_ct, alpha_st=case.parameters.alpha_st, max_efpr=case.parameters.max_efpr,
    )  # fmt: skip
    results = [candidate.by_psds1() for candidate in candidates]
    bound = pi_psds(results)
    assert bound.psds == pytest.approx(psds, abs=1e-9)
    assert bound.per_class == pytest.approx(single, abs=1e-9)
    assert bound.macro > max(result.macro for result in results)
    assert bound.variant["metric"] == f"pi_{results[0].variant['metric']}"


def test_envelope_by_hand() -> None:
    first, second = Curve(np.array([0.0, 2.0]), np.array([0.3, 0.6])), Curve(np.array([0.0, 1.0]), np.array([0.1, 0.5]))
    highest = upper_envelope([first, second])
    assert (highest.efpr.tolist(), highest.tpr.tolist()) == ([0.0, 1.0, 2.0], [0.3, 0.5, 0.6])


def test_candidates_that_do_not_go_together() -> None:
    case = make_case(1)
    other = case._replace(parameters=replace(case.parameters, dtc=0.9)).by_psds1()
    fewer = noise(30).by_psds1()
    for candidates, message in (
        ([], r"^piPSDS needs at least one candidate, got none$"),
        ([case.by_psds1(), other], r"^piPSDS: candidate 1 has another variant than candidate 0 \("),
        (
            [noise(37).by_psds1(), fewer],
            r"^piPSDS: candidate 1 has another number of clips than candidate 0 \(30, 37\)$",
        ),
    ):
        with pytest.raises(DataError, match=message):
            pi_psds(candidates)
