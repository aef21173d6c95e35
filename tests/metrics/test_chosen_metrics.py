"""`evaluation.metrics` chooses what a detection run computes; what cannot be meant is one clear line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from efficient_sed.audio.grid import FrameGrid
from efficient_sed.cli.main import main
from efficient_sed.config.evaluation import EvaluationConfig
from efficient_sed.config.parse import from_dict
from efficient_sed.config.values import to_dict
from efficient_sed.data.events import Event
from efficient_sed.errors import ConfigError
from efficient_sed.experiment.measure import needs_evaluation
from efficient_sed.metrics.contracts import Setting, all_metrics, create_metrics

CLASSES = ("cough", "keys")
EVENTS = [Event(0.4, 0.8, "cough"), Event(1.0, 1.6, "keys")]


def setting(**options: Any) -> Setting:
    config = from_dict(EvaluationConfig, options)
    return Setting(CLASSES, [2.0], FrameGrid(), config, thresholds=(0.2, 0.4))


@pytest.mark.parametrize(
    ("names", "left_out", "added"),
    [
        (["default"], set(), set()),
        (["psds", "event"], {"segment", "frame"}, set()),
        ("psds", {"segment", "frame", "event"}, set()),
        (["intersection", "default"], set(), {"intersection"}),
        (["all"], set(), {"intersection", "event_best"}),
    ],
)
def test_names_choose(names: Any, left_out: set[str], added: set[str]) -> None:
    by_default = {metric.name for metric in all_metrics() if metric.task == "detection" and metric.use == "default"}
    assert {"psds", "segment", "frame", "event"} <= by_default
    created = [metric.name for metric in create_metrics("detection", setting(metrics=names))]
    if "psds" in names:
        assert set(created) == {"psds", "segment", "frame", "event"} - left_out
    else:
        assert set(created) == by_default | added
    assert [metric.name for metric in create_metrics("tagging", setting(metrics=names))] == ["tagging"]


def test_every_metric_takes_the_run_thresholds_and_collars() -> None:
    scores = np.zeros((50, 2), np.float32)
    scores[10:20, 0], scores[25:40, 1] = 0.3, 0.3
    values: dict[str, Any] = {}
    for metric in create_metrics("detection", setting(metrics=["all"], collar_s=0.1, segment_s=0.5)):
        metric.update("clip", scores, EVENTS, 2.0)
        own = metric.metrics()
        values |= own | {"variant": values.get("variant", {}) | own.get("variant", {})}
    assert (values["event_f1"], values["intersection_f1"]) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert (values["event_best_f1_macro"], values["intersection_best_f1_macro"]) == (1.0, 1.0)
    assert values["event_best"]["keys"]["threshold"] == pytest.approx(0.15)
    assert values["segment_best_f1_macro"] == 1.0
    expected = {
        "event_collar_s": 0.1, "event_threshold": "per class", "intersection_threshold": "per class",
        "intersection_dtc": 0.5, "segment_s": 0.5,
    }  # fmt: skip
    assert values["variant"].items() >= expected.items()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"metrics": ["event"]},
            "evaluation.metrics=[event] is not allowed: psds cannot be left out, it chooses the best epoch; give "
            "[psds,event]",
        ),
        ({"metrics": []}, "evaluation.metrics=[] is not allowed: at least one name"),
        ({"metrics": ["psds", "psds"]}, "evaluation.metrics=[psds,psds] is not allowed: each name once"),
        ({"metrics": 3}, "metrics=3 must be a list, such as [a,b]"),
        ({"collar_s": -0.1}, "evaluation.collar_s=-0.1 is not allowed: seconds, 0 or more"),
        ({"offset_share": 1.5}, "evaluation.offset_share=1.5 is not allowed: 0 to 1"),
        ({"segment_s": 0}, "evaluation.segment_s=0.0 is not allowed: seconds, above 0, at most 3600"),
        ({"intersection_dtc": 0}, "evaluation.intersection_dtc=0.0 is not allowed: above 0, at most 1"),
        ({"tune": "psds3"}, "tune='psds3' is not allowed; did you mean 'psds2'? allowed: event_f1, none, psds1, psds2"),
        ({"tune_folds": 1}, "evaluation.tune_folds=1 is not allowed: 2 to 20"),
        ({"min_events": 0}, "evaluation.min_events=0 is not allowed: 1 or more"),
        ({"postprocessing": []}, "evaluation.postprocessing=[] is not allowed: at least one name"),
    ],
)
def test_what_is_not_allowed(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        from_dict(EvaluationConfig, options)
    assert str(error.value) == message


def test_an_unknown_name_stops_before_the_training(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    options = ["data=synthetic", f"output_dir={tmp_path}", "evaluation.metrics=[psds,evnt]"]
    assert main(["train", *options]) == 2
    assert "evaluation.metrics=[psds,evnt] has an unknown metric 'evnt'; did you mean 'event'? allowed: all, " in (
        capsys.readouterr().err
    )
    assert list(tmp_path.iterdir()) == []


def test_results_written_before_are_not_evaluated_again() -> None:
    class Run:
        task, evaluation = "detection", EvaluationConfig()

    before = {key: to_dict(EvaluationConfig())[key] for key in ("dtc", "gtc", "alpha_st", "max_efpr", "back_end")}
    assert not needs_evaluation({"config": {"evaluation": before}}, Run())  # type: ignore[arg-type]
    assert needs_evaluation({"config": {"evaluation": before | {"collar_s": 0.1}}}, Run())  # type: ignore[arg-type]
