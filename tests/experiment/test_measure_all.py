"""Many models into one file: in order, within a time, from where it was broken off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from result_files import RECORD

from efficient_sed.config.benchmark import BenchmarkConfig
from efficient_sed.errors import ConfigError, DataError
from efficient_sed.experiment import measure_all
from efficient_sed.experiment.benchmark_csv import read_benchmark_csv
from efficient_sed.experiment.measure import benchmark_model
from efficient_sed.models.weights.cards import list_cards


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the models that were measured; "broken" cannot be, and each takes ten seconds."""
    names: list[str] = []

    def measure(name: str, _: BenchmarkConfig, *, may_download: bool) -> dict[str, Any]:
        assert not may_download
        if name == "broken":
            raise ConfigError("no such thing")
        names.append(name)
        return RECORD | {"model": name}

    monkeypatch.setattr(measure_all, "benchmark_model", measure)
    monkeypatch.setattr(measure_all.time, "monotonic", lambda: 10.0 * len(names))
    return names


def models_in(path: Path) -> list[str]:
    return [row["model"] for row in read_benchmark_csv(path)]


def test_what_does_not_fit_is_named_and_comes_next(tmp_path: Path, measured: list[str]) -> None:
    path, config, names = tmp_path / "new" / "costs.csv", BenchmarkConfig(), ["a", "b", "c", "d"]
    assert measure_all.measure_missing(path, names, config, budget_s=15) == ["c", "d"]
    assert models_in(path) == ["a", "b"]
    assert measure_all.measure_missing(path, ["a0", *names], config) == []
    assert measured == ["a", "b", "a0", "c", "d"]
    assert models_in(path) == measured


def test_a_model_that_fails_costs_no_other(
    tmp_path: Path, measured: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert measure_all.measure_missing(tmp_path / "costs.csv", ["broken", "b"], BenchmarkConfig()) == []
    assert measured == ["b"]
    assert "left out: broken: ConfigError: no such thing" in caplog.text


def test_nothing_is_measured_for_a_file_of_another_kind(tmp_path: Path, measured: list[str]) -> None:
    (tmp_path / "costs.csv").write_text("a\n")
    with pytest.raises(DataError, match="not those of a benchmark"):
        measure_all.measure_missing(tmp_path / "costs.csv", ["a"], BenchmarkConfig())
    assert measured == []


def test_a_file_for_each_precision(tmp_path: Path) -> None:
    path = measure_all.results_path(tmp_path, BenchmarkConfig(device="cpu", threads=1, precision=("bf16",)))
    assert path.parent == tmp_path
    assert path.name.startswith("benchmark-bf16-pt2")
    assert path.name.endswith("-1-threads.csv")
    with pytest.raises(ConfigError, match="precision=fp32,bf16 is not allowed: one of them with --results"):
        measure_all.results_path(tmp_path, BenchmarkConfig(device="cpu", precision=("fp32", "bf16")))


def test_released_weights_that_are_not_here_are_stood_in_for() -> None:
    config = BenchmarkConfig(
        seconds=0.5, device="cpu", modes=("eager",), batches=(1,), threads=1, clock="cpu", repeats=3
    )
    absent = benchmark_model("mn01_as_mAP_298", config, may_download=False)
    card = list_cards()["mn01_as_mAP_298"]
    assert (absent["weights"], absent["complexity"]["params"]) == ("random", card.params)
    assert absent["score"] == {"metric": "mAP", "value": 0.298, "on": "audioset_weak", "source": "published"}
    shipped = benchmark_model("fmn04_synthetic", config, may_download=False)
    assert (shipped["weights"], shipped["score"]["source"]) == ("trained", "measured")
    composed = benchmark_model("fmn01", config, may_download=False)
    assert (composed["weights"], composed["score"]) == ("random", None)
    assert composed["complexity"]["load_ms"] > 0
    assert composed["complexity"]["throughput"]["clock"] == "cpu"
