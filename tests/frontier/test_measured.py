"""Costs of published models that were measured here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from result_files import RECORD

from efficient_sed.experiment.benchmark_csv import append_csv
from efficient_sed.frontier import measured
from efficient_sed.frontier.html import page_data
from efficient_sed.frontier.published import AUDIOSET_STRONG, PublishedModel


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(measured, "resource_folder", lambda _: tmp_path)
    measured._rows.cache_clear()
    yield tmp_path
    measured._rows.cache_clear()


def record(model: str, ms: float) -> dict[str, Any]:
    complexity = RECORD["complexity"]
    speed = complexity["throughput"] | {"mode": "fused", "clock": "cpu"}
    found = {"activations": 6_000, "activations_peak": 900, "throughput": speed, "latency": {"ms": ms}}
    return RECORD | {"model": model, "weights": "random", "complexity": complexity | found}


def published(model: str, label: str = "", data: str = AUDIOSET_STRONG) -> PublishedModel:
    return PublishedModel("table", model, model, "none", data, label)


def test_as_released_or_by_architecture(folder: Path) -> None:
    names = ("fmn04_strong", "fmn06", "mn10_as_mAP_471", "mn10")
    append_csv(folder / "benchmark-a.csv", [record(name, 10.0 + index) for index, name in enumerate(names)])
    append_csv(folder / "benchmark-b.csv", [record("fmn06", 99.0)])
    rows = [
        measured.measured_row(model)
        for model in (
            published("fmn04"),
            published("fmn06", "fmn06"),
            published("mn10", "mn10_as_mAP_471", "AudioSet tagging"),
            published("mn10", "another", "AudioSet tagging"),  # with classes of its own
            published("fmn10"),
        )
    ]
    assert [float(row.get("latency_ms", 0)) for row in rows] == [10.0, 11.0, 12.0, 0.0, 0.0]
    assert measured.measured_costs(rows[0]) == {
        "activations": [6000.0, "per 10 s"],
        "activations_peak": [900.0, "clips of 10 s"],
        "latency_ms": [10.0, "CPU of a kind, 1 threads, fp32, fused, CPU time, clips of 10 s"],
    }
    expected = "benchmarks/results/benchmark-a.csv, torch 2.11.0, commit abc, random weights"
    assert measured.measured_by(rows[0]) == expected
    assert (measured.measured_costs({}), measured.measured_by({})) == ({}, "")


def test_the_page_has_them() -> None:
    records = [record for record in page_data([])["records"] if "latency_ms" in record["costs"]]
    assert len(records) >= 6
    (fmn04,) = (record for record in records if record["model"] == "fmn04")
    assert fmn04["costs"]["activations"][0] == 6306253
    assert any(key == "latency and activations" and "benchmark-" in text for key, text in fmn04["provenance"])
