"""Training, fusing and measuring on a GPU of NVIDIA; tests/benchmark/test_gpu_paths.py does without one."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import gpu
import pytest
import pytorch_lightning as pl
import torch

import efficient_sed as es
from efficient_sed.benchmark import speed as throughput
from efficient_sed.benchmark._modes import Variant, captured, create_forward
from efficient_sed.benchmark.float32 import exact_float32
from efficient_sed.benchmark.speed import measure_speed
from efficient_sed.config.benchmark import BenchmarkConfig
from efficient_sed.config.run import RunConfig
from efficient_sed.config.training import TrainConfig
from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.experiment.folders import run_folder
from efficient_sed.experiment.run import run_experiment
from efficient_sed.models.factory import settle_norms
from efficient_sed.models.sed import SedModel
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS
from efficient_sed.training.callbacks import StopOnSignal
from efficient_sed.training.module import SedModule

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU of NVIDIA here")]
HEADS = ["none", "tf", "gru", "mamba", "hybrid"]
SHORT = BenchmarkConfig(seconds=1.0, repeats=3, batches=(4,), modes=("eager",))


def create(head: str) -> SedModel:
    torch.manual_seed(0)
    return settle_norms(es.create_model("fmn04" if head == "none" else f"fmn04+{head}-64", num_classes=5)).eval().cuda()


def small_run(tiny_config: SyntheticConfig, output: Path, **train: Any) -> RunConfig:
    options = TrainConfig(batch_size=4, accelerator="gpu", precision="16-mixed", **train)
    head = SEQUENCE_HEADS.get("gru")(hidden=16)
    return RunConfig(BACKBONES.get("fmn04")(), head, tiny_config, options, benchmark=SHORT, output_dir=str(output))


def test_a_training_in_half_precision_goes_on_where_it_was_stopped(
    tiny_config: SyntheticConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_run(tiny_config, tmp_path, epochs=2)

    def stop(_: Any, trainer: Any, __: Any) -> None:
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("efficient_sed.training.callbacks.EpochTimer.on_train_epoch_start", stop)
        with pytest.raises(KeyboardInterrupt):
            run_experiment(config, show_progress=False)
    assert (run_folder(config) / "last.ckpt").is_file()
    result = run_experiment(config, show_progress=False)
    assert result["training"]["epochs"] == 2
    assert torch.cuda.get_device_name() in result["training"]["device"]
    speed = result["complexity"]["throughput"]
    assert (speed["device"], speed["precision"]) == (torch.cuda.get_device_name(), "fp16")
    assert run_experiment(config, show_progress=False) == result


@pytest.mark.parametrize("head", HEADS)
def test_every_mode_is_measured(head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "BLOCK_S", 0.2)
    modes, model = ("eager", "fused", "graphed"), create(head)
    rows = measure_speed(
        model, dataclasses.replace(SHORT, modes=modes, precision=("fp32", "fp16", "bf16"), with_mel=True)
    )["speeds"]
    assert len(rows) == 2 * 2 * len(modes) * (1 + 2 + 2)
    compiled = measure_speed(model, dataclasses.replace(SHORT, modes=("compiled",), precision=("fp32",), batches=(1,)))[
        "speeds"
    ]  # a minute each
    assert [(row["mode"], row["batch_size"]) for row in compiled] == [("compiled", 1)]
    largest = {"fp32": 1e-3, "fp16": 0.05, "bf16": 0.3}
    for row in rows + compiled:
        assert row["max_score_difference"] <= largest[row["precision"]], row
        assert row["clips_per_s"] > 0
        assert row["peak_memory_mb"] > 1


def fail(*_: Any) -> NoReturn:
    raise OSError("Driver/library version mismatch")


def test_the_script_of_all_figures_has_no_row_that_fails(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--models", "fmn04+tf-64", "fmn04+gru-64", "fmn04+hybrid-64", "--batch", "2", "--training-batch", "2"]
    sections = ["--sections", "chip", "inference", "training", "loader", "compiled"]
    assert gpu.main([*small, *sections, "--training", "fmn04+tf-64", "--seconds", "400"]) == 0
    output = capsys.readouterr().out
    assert "failed: " not in output
    for mode in ("plain", "graphed", "compiled", "compiled, graphed"):
        assert f"| fmn04+tf-64 | fp16 | 2 | {mode} |" in output


@pytest.mark.parametrize(
    "module", ["as it is", None, SimpleNamespace(nvmlInit=fail)], ids=["present", "absent", "raising"]
)
def test_speed_is_measured_whatever_nvml_says(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if module == "as it is":
        pytest.importorskip("pynvml", reason="pynvml is not installed; pip install nvidia-ml-py")
    else:
        monkeypatch.setitem(sys.modules, "pynvml", module)
    measured = measure_speed(create("none"), SHORT)
    assert measured["throughput"]["clips_per_s"] > 0
    assert (measured["speeds"][0]["energy_j_per_clip"] is None) == ("energy_j_per_clip" in measured["speed_missing"])
    assert module == "as it is" or "sm_mhz" in measured["speed_missing"]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("mode", ["eager", "fused"])
@torch.inference_mode()
def test_half_precision_gives_no_warning(head: str, mode: str) -> None:
    """Of weights that are not in one piece, for one: pytest makes errors of them."""
    model = create(head)
    x = model.frontend(torch.randn(2, 32_000, device="cuda"))
    for is_autocast in (False, True):
        run = create_forward(model, Variant(mode, is_autocast), "fp16", "outside", x)
        assert (run(x).frame_logits.float().sigmoid() - model(x).frame_logits.sigmoid()).abs().max() < 0.05


@pytest.mark.parametrize("head", HEADS)
@torch.inference_mode()
def test_fused_and_graphed_give_what_the_model_gives(head: str) -> None:
    model = create(head)
    fused = es.fuse(model)
    first, second = (model.frontend(torch.randn(2, 32_000, device="cuda")) for _ in range(2))
    with exact_float32():
        graph = captured(fused, first)
        for x in (first, second, first):
            assert (fused(x).frame_logits - model(x).frame_logits).abs().max() < 1e-3
            assert (graph(x).frame_logits - fused(x).frame_logits).abs().max() < 1e-3


@pytest.mark.filterwarnings("default")  # what NCCL says of a group of one
def test_one_gpu_under_ddp(tiny_config: SyntheticConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group of one that is taken for two while it trains, so that what several processes exchange is exchanged."""
    train_step, reduce = SedModule.training_step, torch.distributed.all_reduce
    steps: list[int] = []
    reduced: list[str] = []

    def of_two(module: SedModule, *args: Any) -> torch.Tensor | None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pl.Trainer, "world_size", 2)
            patch.setattr(
                torch.distributed, "all_reduce", lambda value: (reduced.append(value.device.type), reduce(value))[1]
            )
            loss = train_step(module, *args)
        (stop,) = [callback for callback in module.trainer.callbacks if isinstance(callback, StopOnSignal)]
        stop._num_steps = 1
        assert not stop._is_agreed(module.trainer)
        steps.append(1)
        return loss

    monkeypatch.setattr(SedModule, "training_step", of_two)
    monkeypatch.setattr("efficient_sed.training.module.LOG_EVERY_STEPS", 1)
    monkeypatch.setattr("efficient_sed.training.trainer._strategy", lambda _: "ddp_find_unused_parameters_true")
    config = small_run(dataclasses.replace(tiny_config, on_error="skip"), tmp_path, epochs=1)
    try:
        result = run_experiment(config, show_progress=False)
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    assert reduced == ["cuda"] * 2 * len(steps) != []  # clips of a step, and its losses
    assert result["training"]["epochs"] == 1
    assert result["complexity"]["throughput"] is not None


def test_speed_of_a_cpu_beside_a_gpu(tiny_config: SyntheticConfig, tmp_path: Path) -> None:
    config = small_run(tiny_config, tmp_path, epochs=1)
    first = run_experiment(config, show_progress=False)
    on_cpu = dataclasses.replace(config, benchmark=dataclasses.replace(SHORT, device="cpu"))
    assert run_folder(on_cpu) == run_folder(config)
    second = run_experiment(on_cpu, show_progress=False)
    assert second["complexity"]["throughput"]["device"].startswith("CPU ")
    assert second["metrics"] == first["metrics"]
