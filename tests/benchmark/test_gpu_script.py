"""benchmarks/gpu.py without a GPU: on a CPU, on a make-believe one, and on one that is not there."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Any, NoReturn

import gpu
import gpu_training
import pytest
import torch
from fake_gpu import fake_gpu
from gpu_section import COLUMNS, Machine, Section
from inference import Plain
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

import efficient_sed as es
from efficient_sed.benchmark import clock, speed
from efficient_sed.benchmark._sensors import Sensors

CPU = torch.device("cpu")
SMALL = ["--models", "fmn04", "--batch", "1", "--training", "fmn04", "--training-batch", "2"]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few and small: what they take is not looked at."""
    small: dict[Any, dict[str, Any]] = {
        gpu: {"REPEATS": 1, "FRAMES": 100, "COPY_MB": {"cpu": 1, "cuda": 1}, "SIZE": {"cpu": 8, "cuda": 8}},
        gpu_training: {"REPEATS": 1, "SECONDS": 1, "LOADED_CLIPS": 4, "LOADER_S": 0.01},
        speed: {"FIRST_BLOCK": 1},
        clock: {"WARM_UP": 1},
    }
    for module in (gpu, gpu_training):
        small[module] |= {"BLOCKS": 2, "BLOCK_S": 1e-3}
    for module, values in small.items():
        for name, value in values.items():
            monkeypatch.setattr(module, name, value)
    gpu.load.cache_clear()
    gpu.count.cache_clear()


def tables(output: str) -> dict[str, list[list[str]]]:
    """Rows by section."""
    found: dict[str, list[list[str]]] = {}
    for part in output.split("\n## ")[1:]:
        lines = [line for line in part.splitlines() if line.startswith("| ")]
        found[part.split("\n")[0].lower()] = [line.strip("| ").split(" | ") for line in lines[1:]]
    return found


@pytest.mark.usefixtures("quick")
def test_a_cpu_fills_all_tables_but_that_of_compiled_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.csv"
    assert gpu.main(["--device", "cpu", "--csv", str(path), *SMALL]) == 0
    output = capsys.readouterr().out
    found = tables(output)
    assert gpu.main(["--device", "cpu", "--csv", str(path), "--sections", "chip"]) == 0
    assert list(found) == ["chip", "inference", "training", "loader"]
    assert [row[3] for row in found["inference"]] == ["plain", "eager", "fused"]
    assert [row[0] for row in found["training"]] == [
        f"{step}; fmn04, batch 2"
        for step in (
            *("channels_last", "fused Adam", "pinned copies"),
            "channels_last, fused Adam, pinned copies",
        )
    ]
    assert [row[:2] for row in found["loader"]] == [["data=audioset_strong", "0"], ["data=packed", "0"]]
    assert all(len(row) == len(COLUMNS[name]) for name, rows in found.items() for row in rows)
    assert all(float(row[4]) > 0 and float(row[10]) < 1e-4 and row[11] == "5590" for row in found["inference"])
    assert "failed" not in output
    assert "Left out" not in output
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    assert len(rows) == sum(map(len, found.values())) + len(found["chip"])
    assert {row["section"] for row in rows} == set(found)
    assert all(row["device"].startswith("CPU ") and row["torch"] == torch.__version__ for row in rows)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a make-believe GPU beside a real one")
@pytest.mark.usefixtures("quick")
def test_what_fails_on_a_gpu_is_a_row_and_costs_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A make-believe one has no copies in place, CUDA graphs or gradients."""
    monkeypatch.setitem(gpu.MODES, "compiled", ("plain", "compiled, graphed"))
    with fake_gpu("cuda"):
        sections = ["--sections", "chip", "inference", "training", "compiled", "compiled training"]
        assert gpu.main([*sections, *SMALL, "--precision", "fp16"]) == 0
    found = tables(capsys.readouterr().out)
    failed = {name: [row[-1] for row in rows if row[-1].startswith("failed: ")] for name, rows in found.items()}
    assert len(found["chip"]) > len(failed.pop("chip"))  # of a copy in place, which such tensors now and then can do
    assert {name: len(rows) for name, rows in failed.items()} == {
        "inference": 1,
        "training": len(gpu_training.STEPS),
        "compiled": 1,
        "compiled training": len(gpu_training.COMPILED),
    }
    assert found["inference"][0][:4] == ["fmn04", "fp16", "1", "graphed"]
    assert [row[3] for row in found["inference"][1:]] == ["plain", "eager", "fused"]
    assert failed["compiled"] == ["failed: KeyError: 'compiled'"]
    assert [row[3] for row in found["compiled"]] == ["compiled, graphed", "plain"]


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 2
    assert capsys.readouterr() == (
        "",
        "--device cuda is not allowed: this machine has no GPU of NVIDIA that torch can use; "
        "give --device cpu for the same code on a CPU\n",
    )


def in_a_minute() -> tuple[float, float]:
    return time.perf_counter() + 60, time.perf_counter() + 60


def fail() -> NoReturn:
    raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 20 GiB | of 24")


def test_rows_end_with_the_time_of_a_section(capsys: pytest.CaptureFixture[str]) -> None:
    section = Section("chip", Machine(CPU, Sensors(CPU)), *in_a_minute(), None)
    section.measure(fail, "copy")
    section.end = 0.0
    section.measure(lambda: section.row("never"), "product,", "fp16")
    section.close()
    assert capsys.readouterr().out == (
        "\n## Chip\n\n| what | rate | unit |\n|---|---|---|\n"
        "| copy | failed: OutOfMemoryError: CUDA out of memory. Tried to allocate 20 GiB / of 24 |\n"
        "\nLeft out, since its time was over: product, fp16.\n"
    )


def test_what_would_take_longer_than_is_left_is_not_begun() -> None:
    section = Section("chip", Machine(CPU, Sensors(CPU)), *in_a_minute(), None)
    done: list[str] = []
    section.measure(lambda: done.append("first"), "first")
    section._longest = 61.0
    section.measure(lambda: done.append("second"), "second")
    assert done == ["first"]


def test_what_is_not_done_in_time_is_broken_off(capsys: pytest.CaptureFixture[str]) -> None:
    section = Section("chip", Machine(CPU, Sensors(CPU)), time.perf_counter() + 60, time.perf_counter() + 0.1, None)
    section.measure(lambda: time.sleep(60), "copy")
    assert capsys.readouterr().out.endswith("| copy | failed: TimeoutError: the time of all sections was over |\n")


def lay_on_cuda(module: nn.Module, mode: FakeTensorMode, precision: torch.dtype) -> None:
    """Replace weights by tensors without values that PyTorch holds for ones on a GPU."""
    for part in module.modules():
        for values in (part._parameters, part._buffers):
            for name, value in values.items():
                if value is None:
                    continue
                moved = mode.from_tensor(value.detach())
                with mode:
                    moved = moved.to("cuda", precision if moved.is_floating_point() else moved.dtype)
                values[name] = nn.Parameter(moved, requires_grad=False) if values is part._parameters else moved


@pytest.mark.parametrize("precision", [torch.float32, torch.float16])
@pytest.mark.parametrize("head", ["none", "tf", "attn", "hybrid", "mingru", "mamba", "tcn"])
@torch.no_grad()
def test_nothing_mixes_devices_or_precisions_on_a_gpu(head: str, precision: torch.dtype) -> None:
    """Of every form but a GRU, whose kernel is asked for at the driver."""
    model = es.create_model("fmn04" if head == "none" else f"fmn04+{head}-64", num_classes=3).eval()
    for form in (Plain(model).eval(), model, es.fuse(model)):
        mode = FakeTensorMode()
        for part in [form] if isinstance(form, Plain) else [form.backbone, form.sequence, form.classifier]:
            lay_on_cuda(part, mode, precision)
        with mode:
            output = form(torch.zeros(2, 1, 128, 200, device="cuda", dtype=precision))
            logits = gpu.logits_of(output)
        assert (logits.device.type, logits.dtype, logits.shape) == ("cuda", precision, (2, 3, 50))
