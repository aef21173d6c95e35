"""A metric is one file: what it declares reaches the result, tables, CSV, page and pictures."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from adding import added
from result_files import make_result, write_run

from efficient_sed.cli.main import main
from efficient_sed.config.evaluation import EvaluationConfig
from efficient_sed.data.dataset import EvaluationWindows
from efficient_sed.data.events import Splits
from efficient_sed.errors import DataError
from efficient_sed.experiment.record import result_columns
from efficient_sed.experiment.result_file import read_result
from efficient_sed.frontier.front import pareto_front
from efficient_sed.frontier.html import page_data
from efficient_sed.frontier.points import run_points
from efficient_sed.frontier.runs import find_runs, read_results
from efficient_sed.inference.evaluate import evaluate_model
from efficient_sed.metrics.contracts import METRICS, ClipMetric, all_metrics, all_scores, leading_score
from efficient_sed.models.factory import create_model

SOURCE = '''
"""By how many seconds the sum of active frames misses the length of the events."""

from efficient_sed.metrics.contracts import METRICS, ClipMetric, Score


@METRICS.register("length_error")
class LengthError(ClipMetric):
    scores = (
        Score(
            "length_error_s", "length error", "error in length", "s", is_higher_better=False, form=".1f",
            column="length error",
        ),
    )

    def __init__(self, hop_s):
        self.hop_s = hop_s
        self.errors_s = []

    @classmethod
    def create(cls, setting):
        return cls(setting.grid.hop_s)

    def update(self, clip_id, scores, events, duration_s):
        length_s = sum(event.offset_s - event.onset_s for event in events)
        self.errors_s.append(abs((scores > 0.5).sum() * self.hop_s - length_s))

    def merge(self, other):
        self.errors_s += other.errors_s

    def metrics(self):
        return {"length_error_s": float(sum(self.errors_s)), "variant": {"length_threshold": 0.5}}
'''
KEY = "length_error_s"


@pytest.fixture
def length_error(tmp_path: Path) -> Iterator[None]:
    with added(METRICS, tmp_path / "package", "length_error", SOURCE):
        yield
    assert KEY not in all_scores()


@pytest.mark.usefixtures("length_error")
def test_a_metric_from_one_file_is_everywhere(
    tmp_path: Path, tiny_data: Splits, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    model = create_model("fmn04", classes=tiny_data.classes)
    metrics = evaluate_model(
        model, EvaluationWindows(tiny_data.test, tiny_data.classes, model.grid, 3), task="detection",
        config=EvaluationConfig(), median_frames=3, batch_size=4, num_workers=0, on_error="raise",
    )  # fmt: skip
    assert metrics[KEY] > 0
    assert (metrics["variant"]["length_threshold"], metrics["variant"]["median_frames"]) == (0.5, 3)

    runs = tmp_path / "runs"
    other = metrics | {KEY: metrics[KEY] + 10}
    write_run(runs, "a", make_result("fmn04", metrics=metrics))
    write_run(runs, "b", make_result("fmn10", signature="bbbbbbbbbb", metrics=other))
    assert main(["plot", str(runs), "--output", str(tmp_path / "f.png"), "--score", KEY]) == 0
    table = capsys.readouterr().out
    assert "length error" in table
    assert f"{metrics[KEY]:.1f}" in table

    with (tmp_path / "f.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    assert float(rows["fmn04"][KEY]) == pytest.approx(metrics[KEY])
    assert f"{KEY}_sd" in rows["fmn04"]

    results = read_results(find_runs(runs))
    data = page_data(results)
    assert data["scores"][KEY] == {"label": "error in length (s)", "isHigherBetter": False}
    assert [record["scores"][KEY][0] for record in data["records"] if record["source"] == "ours"] == [
        pytest.approx(value[KEY]) for value in (metrics, other)
    ]
    assert "error in length (s)" in (tmp_path / "f.svg").read_text(encoding="utf-8")
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    points = run_points(results, KEY)
    assert pareto_front(points, "params") == [min(points, key=lambda point: point.score)]  # lower is better

    write_run(runs, "damaged", make_result("fmn04", metrics=metrics | {KEY: -1.0}))
    with pytest.raises(DataError, match=rf"metrics\.{KEY}=-1\.0 is not a number from 0, or null"):
        read_result(runs / "damaged")


def test_a_score_that_no_run_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "runs", "a", make_result())
    assert main(["plot", str(tmp_path / "runs"), "--output", str(tmp_path / "f.png"), "--score", "psds1_mcro"]) == 2
    assert "no run has the score 'psds1_mcro'; did you mean" in capsys.readouterr().err
    assert not (tmp_path / "f.png").exists()


def test_columns_and_order_of_files_written_before() -> None:
    """Scripts read them by place, too."""
    assert ",".join(result_columns()) == (
        "model,score,metric,psds1,psds2,psds,onset_f,segment_error_rate,num_runs,score_sd,psds1_sd,psds2_sd,psds_sd,"
        "onset_f_sd,segment_error_rate_sd,seed,fold,signature,data,manifest_hash,clips_scored,median_frames,epochs,"
        "steps,trained_on,params,macs,macs_deepspeed,macs_published,macs_note,macs_frontend,seconds,clips_per_s,"
        "clips_per_s_q1,clips_per_s_q3,batch_size,latency_ms,peak_memory_mb,precision,device,torch,commit,created,"
        "psds1_macro_tuned,psds_macro_tuned,event_f1_macro,event_f1_macro_tuned,negatives_false_alarms_per_hour,"
        "negatives_false_alarms_per_hour_tuned,psds1_macro_tuned_sd,psds_macro_tuned_sd,event_f1_macro_sd,"
        "event_f1_macro_tuned_sd,negatives_false_alarms_per_hour_sd,negatives_false_alarms_per_hour_tuned_sd,"
        "energy_j_per_clip,energy_method,training_kwh,activations,activations_peak"
    )


def test_declarations_are_whole() -> None:
    metrics = all_metrics()
    names = ["psds", "psds2", "segment", "frame", "event", "hear", "tagging", "intersection", "event_best", "negatives"]
    assert [metric.name for metric in metrics] == names
    scores = [score for metric in metrics for score in metric.scores]
    by_key = {score.key: score for score in scores}
    assert len(by_key) == 33
    assert all(by_key[score.key] == score for score in scores)  # PSDS with the parameters of PSDS2 is the same score
    for score in scores:
        assert score.name and score.title and score.least < score.most  # noqa: PT018
    for metric in metrics:
        assert issubclass(metric, ClipMetric)
        assert metric.update.__doc__ or metric.name == "hear"


@pytest.mark.parametrize(
    ("task", "metrics", "key"),
    [
        ("detection", {"psds1_macro": 0.1, "psds1": 0.1, "frame_f1": 0.9}, "psds1_macro"),
        ("detection", {"psds_macro": 0.1}, "psds_macro"),
        ("detection", {}, "psds1_macro"),
        ("tagging", {"map": 0.1, "accuracy": 0.2}, "accuracy"),
        ("tagging", {"map": 0.1}, "map"),
        ("tagging", {}, "map"),
    ],
)
def test_leading_score(task: str, metrics: dict[str, Any], key: str) -> None:
    assert leading_score(task, metrics).key == key


@pytest.mark.usefixtures("length_error")
def test_what_a_metric_computes_is_compared_only_with_its_like(tmp_path: Path) -> None:
    """The variant of an added metric is part of what two runs must share."""
    own = make_result()["metrics"]
    for name, threshold in (("a", 0.5), ("b", 0.6)):
        metrics = own | {KEY: 1.0, "variant": own["variant"] | {"length_threshold": threshold}}
        write_run(tmp_path, name, make_result(metrics=metrics, signature=name * 10))
    points = run_points(read_results(find_runs(tmp_path)), KEY)
    assert len({json.dumps(point.conditions, sort_keys=True) for point in points}) == 2
