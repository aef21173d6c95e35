"""What exported models cost, with an engine that computes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from adding import added
from fake_meters import Powercap

from efficient_sed.benchmark import exported
from efficient_sed.benchmark.energy import rapl
from efficient_sed.benchmark.exported import PASSES, benchmark_exported
from efficient_sed.cli.exported_tables import exported_table
from efficient_sed.errors import CheckpointError, ConfigError
from efficient_sed.inference.header import Header
from efficient_sed.inference.self_test import create_self_test
from efficient_sed.machine.cores import count_cores
from efficient_sed.registry import ENGINES

HEADER = Header(
    "mine", ("dog", "siren"), "waveform", 16_000, 160, 4, 640, 640, 128, 1.0, 7, 0.5, "detection", 0, "0.1.0",
    params=12, macs=3_000_000, macs_frontend=5,
    metric="psds1_macro", score=0.25, scored_on="here, test part", scored_by="still",
    self_test=create_self_test(np.full((2, 25), 0.5), np.full(2, 0.5), 16_000, 1e-3),
)  # fmt: skip
ENGINE = """
import json
import numpy as np
from efficient_sed.inference.engines.contract import Engine
from efficient_sed.registry import ENGINES

@ENGINES.register("still")
class Still(Engine):
    suffix = ".still"
    is_default = True
    passes = []

    def __init__(self, model, num_threads=None):
        self.metadata, self.version = json.loads(model.read_text()), "still 1"

    def run(self, outputs, inputs):
        self.passes.append((outputs, {name: array.shape for name, array in inputs.items()}))
        shapes = {"frame_scores": (1, 2, 25), "clip_scores": (1, 2)}
        return [np.full(shapes[name], 0.5, np.float32) for name in outputs]

@ENGINES.register("rounding")
class Rounding(Still):
    is_default, is_exact = False, False
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("exported")
    path = folder / "mine.still"
    path.write_text(json.dumps(HEADER.to_metadata()))
    with added(ENGINES, folder / "engines", "still", ENGINE):
        yield path


def test_a_record(model: Path) -> None:
    passes = ENGINES.get("still").passes
    passes.clear()
    (record,) = benchmark_exported([model, model], passes=2)
    assert record["model"] == "mine"
    assert record["self_test"] == {"difference": 0.0, "allowed": 1e-3}
    assert record["score"]["value"] == 0.25
    costs = record["complexity"]
    assert (costs["params"], costs["macs"], costs["macs_by_part"], costs["repeats"]) == (
        12,
        3_000_000,
        {"frontend": 5},
        2,
    )
    assert costs["throughput"]["clips_per_s"] > 0
    assert 0 < costs["latency"]["ms"] <= costs["latency"]["p95_ms"]
    assert (costs["latency"]["mode"], costs["latency"]["precision"]) == ("still 1, from waveform", "fp32")
    assert costs["peak_memory_mb"] > 10
    assert set(map(str, passes[1:])) == {str((["frame_scores"], {"waveform": (1, 16_000)}))}


def test_engines_take_turns_and_a_score_belongs_to_its_engine(model: Path) -> None:
    exact, rounding = benchmark_exported([model], ["still", "rounding"], passes=1)
    assert rounding["complexity"]["throughput"]["precision"] == "fp32 in rounding"
    assert (exact["score"]["metric"], rounding["score"]) == ("psds1_macro", None)
    assert exact["complexity"]["peak_memory_mb"] is rounding["complexity"]["peak_memory_mb"] is None


def test_energy_is_measured_or_the_reason_stated(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    still = ENGINES.get("still")
    run, powercap = still.run, Powercap(tmp_path, {"intel-rapl:0": "package-0"})
    monkeypatch.setattr(exported, "BLOCK_S", 1e-3)
    monkeypatch.setattr(still, "run", lambda *given: (powercap.use("intel-rapl:0", 0.25), run(*given))[1])
    for folder, joules, method in ((tmp_path, 0.25, "RAPL, 1 package"), (tmp_path / "absent", None, None)):
        monkeypatch.setattr(rapl, "POWERCAP", folder)
        (record,) = benchmark_exported([model], passes=1)
        costs = record["complexity"]
        assert (costs["energy_j_per_clip"], costs["energy_method"]) == (joules and pytest.approx(joules), method)
        shown = str(exported_table([record]).caption)
        assert ("energy: RAPL, 1 package" in shown, "has no processor package" in shown) == (bool(joules), not joules)
    assert "no processor package" in costs["speed_missing"]["energy_j_per_clip"]


def test_what_cannot_be_measured(model: Path) -> None:
    assert PASSES >= 10
    with pytest.raises(CheckpointError, match=r"absent\.still: no such file$"):
        benchmark_exported([model.with_name("absent.still")])
    with pytest.raises(ConfigError, match=r"^--engine onnxruntime runs \.onnx files, and .*mine\.still is none$"):
        benchmark_exported([model], ["onnxruntime"])
    with pytest.raises(ConfigError, match=rf"^--threads {count_cores() + 1} is not allowed: this process may use 1 to"):
        benchmark_exported([model], num_threads=count_cores() + 1)
