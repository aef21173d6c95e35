"""PSDS weighted by energy, on a make-believe counter."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import pytest
from fake_meters import Powercap

import efficient_sed as es
from efficient_sed.benchmark.energy import rapl
from efficient_sed.config.evaluation import EvaluationConfig
from efficient_sed.config.run import RunConfig
from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.errors import ConfigError
from efficient_sed.experiment import score
from efficient_sed.experiment.energy import energy_weighted
from efficient_sed.experiment.score import score_part
from efficient_sed.metrics.contracts import all_scores
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS

METRICS = {"psds1": 0.4, "psds1_tuned": 0.5, "psds1_macro": 0.6, "psds2": 0.7, "psds2_tuned": None}


def test_the_formula() -> None:
    """Half the baseline's energy counts twice."""
    weighted = energy_weighted(METRICS, "test", 0.01, 0.02)
    assert weighted == pytest.approx({"psds1_ew_test": 0.8, "psds1_ew_test_tuned": 1.0, "psds2_ew_test": 1.4})
    assert weighted.keys() <= all_scores("detection").keys()
    assert energy_weighted(METRICS, "training", 0.01, None) == {}


def test_energy_that_was_not_measured(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        weighted = energy_weighted({"psds1": 0.4}, "training", None, 1.39)
    assert weighted == {"psds1_ew_training": None}
    assert "evaluation.baseline_training_kwh=1.39: the energy of this run's training was not measured" in caplog.text


@pytest.mark.parametrize("kwh", [0.0, -1.0, float("inf"), float("nan")])
def test_a_baseline_that_is_none(kwh: float) -> None:
    with pytest.raises(ConfigError, match=r"^evaluation\.baseline_test_kwh=.* is not allowed: kWh, above 0, or null$"):
        EvaluationConfig(baseline_test_kwh=kwh)


def test_scoring_is_measured(tiny_config: SyntheticConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rapl, "POWERCAP", tmp_path)
    powercap, evaluate = Powercap(tmp_path, {"intel-rapl:0": "package-0"}), score.evaluate_model

    def evaluate_with_power(*args: object, **options: object) -> dict[str, object]:
        powercap.use("intel-rapl:0", 7200.0)
        return evaluate(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(score, "evaluate_model", evaluate_with_power)
    splits = tiny_config.load()
    evaluation = EvaluationConfig(baseline_test_kwh=0.004, metrics=("psds",))
    head = SEQUENCE_HEADS.get("none")()
    config = RunConfig(BACKBONES.get("fmn04")(), head, tiny_config, evaluation=evaluation)
    model = es.create_model("fmn04", classes=splits.classes)
    metrics = score_part(model, splits, config, "test")
    assert metrics["energy"] == {
        "energy_kwh": pytest.approx(0.002),
        "energy_kwh_by_part": {"CPU": pytest.approx(0.002)},
        "energy_method": "RAPL, 1 package",
        "energy_missing": {},
    }
    assert metrics["psds1_ew_test"] == pytest.approx(2 * metrics["psds1"])
    other = dataclasses.replace(config, evaluation=EvaluationConfig(metrics=("psds",)))
    assert "psds1_ew_test" not in score_part(model, splits, other, "test")
