"""Speed by the stated protocol: which rows there are and what each states; no test asserts how fast anything is."""

from __future__ import annotations

import dataclasses
import io
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_meters import Powercap
from rich.console import Console

import efficient_sed as es
from efficient_sed.benchmark import _modes
from efficient_sed.benchmark import speed as throughput
from efficient_sed.benchmark._processes import _serve, time_together
from efficient_sed.benchmark.energy import rapl
from efficient_sed.benchmark.speed import Speed, check_protocol, measure_speed
from efficient_sed.cli.tables import speed_table
from efficient_sed.config.benchmark import BenchmarkConfig
from efficient_sed.errors import ConfigError
from efficient_sed.machine import memory
from efficient_sed.machine.cores import TASKS, count_cores, only_cores
from efficient_sed.models.contracts import SedOutput
from efficient_sed.models.fuse import MICRO_BATCH
from efficient_sed.models.sed import SedModel

CORES = count_cores()
SHORT = BenchmarkConfig(seconds=0.5, repeats=3, threads=1)


@pytest.fixture(scope="module")
def model() -> SedModel:
    torch.manual_seed(0)
    return es.create_model("fmn04+gru-16", num_classes=5).train()


def test_energy_of_a_cpu(model: SedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By blocks of passes beside the timed ones; throughput stays that of single passes."""
    powercap = Powercap(tmp_path, {"intel-rapl:0": "package-0"})
    monkeypatch.setattr(rapl, "POWERCAP", tmp_path)
    monkeypatch.setattr(throughput, "CPU_BLOCK_S", 1e-3)
    hook = model.backbone.register_forward_pre_hook(lambda *_: powercap.use("intel-rapl:0", 0.5))
    try:
        measured = measure_speed(model, dataclasses.replace(SHORT, batches=(2,), modes=("eager",)))
    finally:
        hook.remove()
    assert [row["energy_j_per_clip"] for row in measured["speeds"]] == pytest.approx([0.5, 0.25])
    assert (measured["energy_j_per_clip"], measured["energy_method"]) == (pytest.approx(0.25), "RAPL, 1 package")
    assert "energy_j_per_clip" not in measured["speed_missing"]


def test_rows(model: SedModel) -> None:
    state = {key: value.clone() for key, value in model.state_dict().items()}
    measured = measure_speed(model, dataclasses.replace(SHORT, batches=(5,), precision=("fp32", "bf16"), with_mel=True))
    rows = measured["speeds"]
    seen = [(row["precision"], row["batch_size"], row["mel"], row["mode"]) for row in rows]
    assert seen == [
        (p, b, mel, mode)
        for p in ("fp32", "bf16")
        for b in (1, 5)
        for mel in ("outside", "inside")
        for mode in ("eager", "fused")
    ]
    for row in rows:
        assert row.keys() == {field.name for field in dataclasses.fields(Speed)}
        assert row["micro_batch"] == (MICRO_BATCH if row["mode"] == "fused" else None)
        assert (row["threads"], row["processes"], row["energy_j_per_clip"], row["autocast"]) == (
            1,
            1,
            None,
            row["precision"] == "bf16",
        )
        assert 0 < row["iqr"][0] <= row["clips_per_s"] <= row["iqr"][1]
        assert 0 < row["latency_ms"] <= row["latency_p95_ms"]
        assert row["peak_memory_mb"] > 10
        assert row["max_score_difference"] <= (1e-5 if row["precision"] == "fp32" else 0.1)
    assert [row["max_score_difference"] > 0 for row in rows if row["precision"] == "bf16"] == [True] * 8
    (main,) = [
        row
        for row in rows
        if (row["precision"], row["batch_size"], row["mel"], row["mode"]) == ("fp32", 5, "outside", "fused")
    ]
    (single,) = [
        row
        for row in rows
        if (row["precision"], row["batch_size"], row["mel"], row["mode"]) == ("fp32", 1, "outside", "fused")
    ]
    shared = {"mode": "fused", "precision": "fp32", "threads": 1, "clock": "wall"}
    shared["device"] = measured["throughput"]["device"]
    assert measured["throughput"] == {"clips_per_s": main["clips_per_s"], "iqr": main["iqr"], "batch_size": 5, **shared}
    assert measured["latency"] == {
        "ms": single["latency_ms"],
        "p95_ms": single["latency_p95_ms"],
        "batch_size": 1,
        **shared,
    }
    assert measured["peak_memory_mb"] == main["peak_memory_mb"]
    assert measured["speed_conditions"].keys() == {"threads", "cores", "mhz", "governor", "load_1min"}
    assert model.training
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(speed_table([{"model": "mine", "complexity": measured}]))
    lines = [line for line in console.export_text().splitlines() if "mine" in line]
    assert len(lines) == len(rows)
    assert "5 by 4" in lines[5]


def test_the_model_as_it_is(model: SedModel) -> None:
    measured = measure_speed(model, dataclasses.replace(SHORT, modes=("eager",), batches=(1,)))
    assert [(row["mode"], row["batch_size"], row["max_score_difference"]) for row in measured["speeds"]] == [
        ("eager", 1, 0.0)
    ]
    assert measured["throughput"]["mode"] == "eager"


@pytest.mark.long
@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's own
def test_compiled(model: SedModel) -> None:
    from torch._dynamo.utils import counters

    counters.clear()
    modes = ("compiled", "eager")
    rows = measure_speed(model, dataclasses.replace(SHORT, modes=modes, batches=(1,)))["speeds"]
    assert [row["mode"] for row in rows] == list(modes)
    assert rows[0]["max_score_difference"] < 1e-4
    assert counters["stats"]["unique_graphs"] > 0


class _Scaled(torch.nn.Module):
    """A graph of its own for each number, all from one code object, as of many models."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, mel: torch.Tensor) -> SedOutput:
        logits = mel.mean((1, 2, 3), keepdim=True)[:, 0] * self.scale
        return SedOutput(logits, logits[..., 0])


def test_the_tenth_model_is_compiled_too(model: SedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, graphs, scales = torch.compile, [], iter(range(2, 12))

    def count(graph: torch.fx.GraphModule, _: Any) -> Any:
        graphs.append(graph)
        return graph

    monkeypatch.setattr(throughput, "check_protocol", lambda *_: None)
    monkeypatch.setattr(_modes, "fuse", lambda _: _Scaled(next(scales)))
    monkeypatch.setattr(torch, "compile", lambda inner, **_: compiled(inner, dynamic=False, backend=count))
    for _ in range(10):
        measure_speed(model, dataclasses.replace(SHORT, modes=("compiled",), batches=(1,)))
    assert len(graphs) == 10


@pytest.mark.slow
@pytest.mark.skipif(CORES < 2, reason="two processes need two cores")
def test_processes(model: SedModel) -> None:
    rows = measure_speed(model, dataclasses.replace(SHORT, batches=(2,), processes=2))["speeds"]
    assert [(row["mode"], row["processes"], row["threads"], row["batch_size"]) for row in rows[-2:]] == [
        ("fused", 1, 1, 2),
        ("fused", 2, 1, 2),
    ]
    assert rows[-1]["clips_per_s"] > 0
    assert rows[-1]["peak_memory_mb"] is None


def test_a_process_that_fails_frees_the_others(model: SedModel) -> None:
    barrier = threading.Barrier(2)
    with only_cores(1), pytest.raises(RuntimeError, match="negative dimension"):
        _serve(model, "fp32", -1, SHORT, 0, barrier)
    assert barrier.broken


@pytest.mark.slow
@pytest.mark.skipif(CORES < 2, reason="two processes need two cores")
def test_why_a_process_failed_is_said(model: SedModel) -> None:
    with pytest.raises(RuntimeError, match="negative dimension"):
        time_together(model, "eager", "fp32", -1, dataclasses.replace(SHORT, processes=2))


@pytest.mark.parametrize("where", ["absent", "a folder that cannot be written as a file"])
def test_peak_memory_where_it_cannot_begin_anew(
    model: SedModel, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "PEAK_RESET", tmp_path if where != "absent" else tmp_path / "absent" / "clear_refs")
    measured = measure_speed(model, dataclasses.replace(SHORT, modes=("eager",), batches=(1,)))
    assert measured["peak_memory_of"] == "whole process since its start"
    assert measured["peak_memory_mb"] > 10


@pytest.mark.parametrize(
    ("config", "device", "message"),
    [
        (
            BenchmarkConfig(precision=("fp32", "fp16")),
            "cpu",
            "benchmark.precision=fp16 is not allowed: a CPU only emulates it; fp32 or bf16",
        ),
        (
            BenchmarkConfig(modes=("graphed",)),
            "cpu",
            "benchmark.modes=graphed is not allowed: CUDA graphs need a GPU of NVIDIA; eager, fused or compiled",
        ),
        (
            BenchmarkConfig(modes=("graphed",)),
            "mps",
            "benchmark.modes=graphed is not allowed: CUDA graphs need a GPU of NVIDIA; eager, fused or compiled",
        ),
        (
            BenchmarkConfig(modes=("compiled",)),
            "mps",
            "benchmark.modes=compiled is not allowed: "
            "torch.compile is measured on CPUs and GPUs of NVIDIA; eager or fused",
        ),
        (BenchmarkConfig(processes=2), "cuda", "benchmark.processes=2 is not allowed: 1 on a GPU"),
        (
            BenchmarkConfig(processes=2, modes=("compiled",)),
            "cpu",
            "benchmark.processes=2 is not allowed without eager or fused in benchmark.modes",
        ),
        (
            BenchmarkConfig(threads=CORES + 1),
            "cpu",
            f"benchmark.threads={CORES + 1} is not allowed: this process may use {CORES} of the machine's cores",
        ),
        (
            BenchmarkConfig(processes=CORES + 1),
            "cpu",
            f"benchmark.processes={CORES + 1} is not allowed: "
            f"this process may use {CORES} of the machine's cores, one for each",
        ),
    ],
)
def test_what_cannot_be_measured(config: BenchmarkConfig, device: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_protocol(config, torch.device(device))
    assert str(caught.value) == message


def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        ConfigError,
        match=r"^benchmark\.modes=compiled is not allowed: torch\.compile finds no C\+\+ compiler; "
        r"install g\+\+, or leave the mode out$",
    ):
        check_protocol(BenchmarkConfig(modes=("compiled",)), torch.device("cpu"))


@pytest.mark.skipif(not TASKS.is_dir(), reason="cores cannot be chosen here")
def test_all_threads_are_kept_to_the_cores_and_freed_again() -> None:
    """Those of OpenMP that are there already, too."""

    def state() -> tuple[dict[int, set[int]], int]:
        return {
            int(folder.name): os.sched_getaffinity(int(folder.name)) for folder in TASKS.iterdir()
        }, torch.get_num_threads()

    end = threading.Event()
    other = threading.Thread(target=end.wait)
    other.start()
    before = state()
    with only_cores(1):
        cores, num_threads = state()
        assert other.native_id in cores
        assert num_threads == 1
        assert len(set().union(*cores.values())) == 1
    assert state() == before
    end.set()
    other.join()
