"""The way from a board's figures to the frontier."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from result_files import make_result, write_run

import efficient_sed as es
from efficient_sed.benchmark.exported import benchmark_exported
from efficient_sed.cli.main import main
from efficient_sed.errors import DataError
from efficient_sed.experiment.result_file import exact_variant
from efficient_sed.export.quantise import quantise
from efficient_sed.export.targets.onnx import OnnxTarget
from efficient_sed.export.write import build_file
from efficient_sed.frontier.device_rows import results_on_device
from efficient_sed.frontier.runs import find_runs, read_results
from efficient_sed.inference.engines.contract import engines_for
from efficient_sed.models.factory import settle_norms
from efficient_sed.models.sed import Provenance, SedModel


@pytest.fixture(scope="module")
def model() -> SedModel:
    torch.manual_seed(0)
    model = settle_norms(es.create_model("fmn04+gru-64", classes=["dog", "siren"])).eval()
    model.provenance = Provenance(1.0, 3, notes={"signature": "0abcdef012", "trained_on": "synthetic"})
    return model


def scored_copy(model: SedModel, folder: Path, precision: str, **score: Any) -> Path:
    header, data, _ = build_file(model, "fmn04+gru-64", OnnxTarget())
    assert header.self_test is not None
    header = dataclasses.replace(header, self_test=header.self_test.allowing(0.5))
    path = folder / f"{precision}.onnx"
    path.write_bytes(
        OnnxTarget().with_header(
            quantise(data, precision, [NOISE], "waveform"), dataclasses.replace(header, precision=precision, **score)
        )
    )
    return path


NOISE = (0.1 * np.random.default_rng(0).standard_normal((1, 16_000))).astype(np.float32)
SCORE: dict[str, Any] = {
    "metric": "psds1_macro",
    "score": 0.35,
    "scored_on": "synthetic, test part",
    "scored_by": "onnxruntime",
    "manifest_hash": "cafe",
    "conditions": exact_variant(make_result()["metrics"]),
}


def test_from_a_board_to_the_frontier(model: SedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [scored_copy(model, tmp_path, "fp32"), scored_copy(model, tmp_path, "int8", **SCORE)]
    assert main(["benchmark", *map(str, files), "--json"]) == 0
    row = tmp_path / "row.json"
    row.write_text(capsys.readouterr().out, encoding="utf-8")
    write_run(tmp_path / "runs", "a", make_result("fmn04+gru-64", signature="0abcdef012"))
    write_run(tmp_path / "runs", "b", make_result("fmn10", signature="other"))
    found = [result for _, result in results_on_device(read_results(find_runs(tmp_path / "runs")), [row])]
    assert [(result["model"], result["metrics"]["psds1_macro"]) for result in found] == [
        ("fmn04+gru-64", 0.4),
        ("fmn04+gru-64 int8", 0.35),
    ]
    for result in found:
        speed = result["complexity"]["throughput"]
        assert speed["threads"] == 1
        assert "onnxruntime" in speed["mode"]
        assert speed["device"].startswith("CPU ")
        low, high = speed["iqr"]
        assert low - 0.01 <= 1e3 / result["complexity"]["latency"]["ms"] <= high + 0.01  # medians of an even number
        assert result["complexity"]["seconds"] == 1.0  # its clips, not those of the run's benchmark
        assert result["complexity"]["macs"] == es.count_macs(model, 1.0).total
        assert result["environment"]["versions"]["onnxruntime"]
    assert (
        main(
            ["plot", str(tmp_path / "runs"), "--device", str(row), "--output", str(tmp_path / "plots" / "frontier.png")]
        )
        == 0
    )
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {
        "frontier.png",
        "frontier.svg",
        "frontier.html",
        "frontier.csv",
    }
    assert "int8" in (tmp_path / "plots" / "frontier.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("precision", "score", "changes", "words"),
    [
        ("int8", {}, {}, "fmn04+gru-64 in int8 has no PSDS1 macro that compares with its run's"),
        ("int8", SCORE | {"manifest_hash": "beef"}, {}, "has no PSDS1 macro that compares with its run's"),
        ("int8", SCORE | {"conditions": "{}"}, {}, "has no PSDS1 macro that compares with its run's"),
        ("int8", SCORE | {"scored_by": "openvino"}, {}, "has no PSDS1 macro that compares with its run's"),
        (
            "fp32",
            {},
            {"signature": "other"},
            "nothing in it was exported from one of the runs (runs/RUN/model.safetensors), which hold the scores",
        ),
    ],
)
def test_rows_that_cannot_be_drawn(
    model: SedModel, tmp_path: Path, precision: str, score: dict[str, Any], changes: dict[str, Any], words: str
) -> None:
    records = benchmark_exported([scored_copy(model, tmp_path, precision, **score)], passes=2)
    (tmp_path / "row.json").write_text(json.dumps(records), encoding="utf-8")
    run = make_result("fmn04+gru-64", **{"signature": "0abcdef012", **changes})
    with pytest.raises(DataError, match=r"row\.json") as caught:
        results_on_device([(tmp_path, run)], [tmp_path / "row.json"])
    assert words in str(caught.value)


def test_what_is_not_float32_needs_a_score_of_its_own(model: SedModel, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "efficient_sed",
        "benchmark",
        str(scored_copy(model, tmp_path, "fp32", **SCORE)),
        "--engine",
        ",".join(engines_for(".onnx")),
        "--json",
    ]
    records = json.loads(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
    )  # OpenVINO's threads do not outlive the forks of later tests
    assert [record["complexity"]["throughput"]["precision"] for record in records] == [
        "fp32",
        "fp32",
        "fp32 in openvino-bf16",
    ]
    assert [record["score"] is None for record in records] == [False, True, True]
    assert {record["complexity"]["peak_memory_mb"] for record in records} == {None}  # of one process
    run = [(tmp_path, make_result("fmn04+gru-64", signature="0abcdef012"))]
    (tmp_path / "row.json").write_text(json.dumps(records[:2]), encoding="utf-8")
    assert [result["metrics"]["psds1_macro"] for _, result in results_on_device(run, [tmp_path / "row.json"])] == [
        0.4,
        0.4,
    ]
    with pytest.raises(
        DataError, match=r"row\.json: fmn04\+gru-64 in fp32 was measured on CPU .* in .*row\.json too; give one of them"
    ):
        results_on_device(run, [tmp_path / "row.json"] * 2)
    (tmp_path / "row.json").write_text(json.dumps(records[2:]), encoding="utf-8")
    with pytest.raises(DataError, match="in fp32 in openvino-bf16 has no PSDS1 macro that compares with its run's"):
        results_on_device(run, [tmp_path / "row.json"])


def damaged(**changes: Any) -> str:
    speed = {"device": "CPU", "precision": "fp32", "mode": "m", "clips_per_s": 3}
    record = {"model": "a", "signature": "s", "score": None, "environment": {}, "complexity": {"throughput": speed}}
    return json.dumps([record | changes])


@pytest.mark.parametrize(
    "content",
    [
        *(
            "",
            "{",
            "[]",
            "{}",
            "[1]",
            '[{"model": "a"}]',
            '[{"model": "a", "signature": "s", "score": null, "complexity": 3}]',
            damaged(),
        ),
        *(
            damaged(signature=[]),
            damaged(complexity={"throughput": [1]}),
            damaged(score=3),
            damaged(score={"metric": "psds1_macro"}),
            damaged(environment=None),
        ),
    ],
)
def test_files_that_are_no_rows(tmp_path: Path, content: str) -> None:
    (tmp_path / "row.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"--device .*row\.json: .*efficient-sed benchmark MODEL\.onnx --json > FILE"):
        results_on_device([(tmp_path, make_result(signature="s"))], [tmp_path / "row.json"])
