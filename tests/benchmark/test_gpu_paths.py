"""What a GPU is asked for, on make-believe ones; real ones are in tests/gpu."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import logging
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from fake_gpu import fake_gpu
from fake_meters import fake_nvml

import efficient_sed as es
from efficient_sed.audio.frontends.mel import LogMel
from efficient_sed.benchmark import _sensors, clock
from efficient_sed.benchmark import speed as throughput
from efficient_sed.benchmark._sensors import Sensors
from efficient_sed.benchmark.energy import rapl
from efficient_sed.benchmark.float32 import exact_float32
from efficient_sed.benchmark.speed import measure_speed
from efficient_sed.config.augmentation import AugmentConfig
from efficient_sed.config.benchmark import BenchmarkConfig
from efficient_sed.config.run import RunConfig
from efficient_sed.config.training import TrainConfig
from efficient_sed.data.dataset import Batch, EvaluationWindows, collate
from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.errors import ConfigError
from efficient_sed.experiment import measure
from efficient_sed.experiment import run as runner
from efficient_sed.experiment.folders import run_folder
from efficient_sed.experiment.measure import benchmark_model
from efficient_sed.experiment.result_file import read_result
from efficient_sed.experiment.run import run_experiment
from efficient_sed.inference import evaluate
from efficient_sed.machine.environment import choose_device, device_name
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS
from efficient_sed.training.augmentation import augment_batch
from efficient_sed.training.draws import move_together
from efficient_sed.training.train import build_model

CUDA = torch.device("cuda", 0)
SHORT = BenchmarkConfig(seconds=0.5, repeats=3, batches=(1,), modes=("fused",))
EVERY_AUGMENTATION = AugmentConfig(
    0.1,
    0.1,
    1.0,
    mixup_probability=1.0,
    mixstyle_probability=1.0,
    filter_probability=1.0,
    freq_warp_probability=1.0,
    time_mask_max=0.3,
    spec_mask_frames=20,
    spec_mask_bins=8,
)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few passes: what they take is not looked at."""
    for name, value in {"WARM_UP": 1, "BLOCKS": 2, "BLOCK_S": 1e-3, "FIRST_BLOCK": 1}.items():
        monkeypatch.setattr(throughput, name, value)
    monkeypatch.setattr(clock, "WARM_UP", 1)


def small_run(tiny_config: SyntheticConfig, output: Path, **train: Any) -> RunConfig:
    options = TrainConfig(epochs=1, batch_size=4, **train)
    head = SEQUENCE_HEADS.get("gru")(hidden=8)
    return RunConfig(BACKBONES.get("fmn04")(), head, tiny_config, options, benchmark=SHORT, output_dir=str(output))


@pytest.mark.parametrize("head", ["none", "tf", "gru", "mamba", "hybrid", "tcn"])
@torch.inference_mode()
def test_mps_gives_the_logits_of_a_cpu(head: str) -> None:
    torch.manual_seed(0)
    model = (
        es.create_model("fmn04" if head == "none" else f"fmn04+{head}-64", num_classes=3).eval().requires_grad_(False)
    )
    waveform = torch.randn(2, 16_000)
    expected = model(model.frontend(waveform)).frame_logits
    with fake_gpu("mps") as device:
        fused = es.fuse(copy.deepcopy(model).to(device))
        logits = fused(fused.frontend(waveform.to(device))).frame_logits
        with torch.autocast("mps", torch.float16):
            half = fused(fused.frontend(waveform.to(device))).frame_logits.float()
        assert logits.device.type == "mps"
        assert (logits.cpu() - expected).abs().max() < 1e-4
        assert (half.cpu() - expected).abs().max() < 0.3


@torch.no_grad()
def test_every_augmentation_runs_on_mps() -> None:
    model = es.create_model("fmn04", num_classes=3).requires_grad_(False)
    scores = torch.rand(3, 3, model.grid.num_frames(32_000))
    with fake_gpu("mps") as device:
        waveform, targets = torch.randn(3, 32_000).to(device), scores.to(device)
        batch = Batch.of_strong(waveform, targets, targets)
        augmented = augment_batch(
            batch, model.to(device), EVERY_AUGMENTATION, np.random.default_rng(0), [LogMel().to(device)]
        )
        values = (augmented.mel, augmented.targets, augmented.teacher, *augmented.teacher_mels)
        assert {value.device.type for value in values} == {"mps"}


@pytest.mark.usefixtures("quick")
def test_a_run_on_mps_ends_with_a_result(
    tiny_config: SyntheticConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the last epoch on: there are no gradients on make-believe devices."""
    config = small_run(tiny_config, tmp_path)
    model = build_model(config, tiny_config.load().classes).requires_grad_(False)
    waited = []
    with fake_gpu("mps") as device:
        monkeypatch.setattr(torch.mps, "synchronize", lambda: waited.append(1))
        facts = {"steps": 1, "device": device_name(device)}
        monkeypatch.setattr(runner, "fit", lambda *_, **__: (model.to(device), facts))
        result = run_experiment(config, show_progress=False)
    assert result == read_result(run_folder(config))
    speed = result["complexity"]["throughput"]
    assert (speed["precision"], speed["threads"], result["environment"]["device"]) == ("fp16", None, speed["device"])
    assert speed["device"].endswith(" (MPS)")
    assert (result["complexity"]["peak_memory_mb"], result["complexity"]["peak_memory_of"]) == (3.0, "GPU allocations")
    assert len(waited) > 2 * 2 * (
        1 + SHORT.repeats
    )  # before and after each timed pass, of weights in half and of autocast


def fail(*_: Any) -> NoReturn:
    raise OSError("Driver/library\nversion mismatch")


@pytest.mark.parametrize(
    ("module", "missing"),
    [
        (fake_nvml(), {}),
        (None, dict.fromkeys(("energy_j_per_clip", "sm_mhz", "memory_mhz"), "nvidia-ml-py")),
        (
            fake_nvml(nvmlInit=fail),
            dict.fromkeys(("energy_j_per_clip", "sm_mhz", "memory_mhz"), "OSError: Driver/library version mismatch"),
        ),
        (
            fake_nvml(nvmlDeviceGetTotalEnergyConsumption=lambda _: 7),
            {"energy_j_per_clip": "the counter of energy did not move"},
        ),
        (fake_nvml(nvmlDeviceGetClockInfo=lambda *_: "fast"), dict.fromkeys(("sm_mhz", "memory_mhz"), "ValueError")),
        (
            fake_nvml(nvmlDeviceGetTotalEnergyConsumption=lambda _: float("nan")),
            {"energy_j_per_clip": "ValueError: the reading was nan"},
        ),
    ],
    ids=["present", "absent", "raising", "frozen", "nonsense", "no number"],
)
@pytest.mark.usefixtures("quick")
def test_time_is_taken_whatever_nvml_says(
    module: Any, missing: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", module)
    with fake_gpu("cuda") as device:
        sensors, variant = Sensors(device), throughput.Variant("fused", False)
        times = throughput.time_modes({variant: lambda: None}, 3, sensors, 2, 1e-3)[variant]
        state = sensors.conditions()
    assert (len(times.latencies), len(times.paces)) == (3, 2)
    reasons = sensors.missing | ({"energy_j_per_clip": sensors.energy.reason} if sensors.energy.reason else {})
    found = {"energy_j_per_clip": times.joules_per_pass, "sm_mhz": state["sm_mhz"], "memory_mhz": state["memory_mhz"]}
    assert {name for name, value in found.items() if value is None} == missing.keys()
    assert all(reason in reasons[name] for name, reason in missing.items())


@pytest.mark.usefixtures("quick")
def test_rows_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml())
    with fake_gpu("cuda") as device:
        model = es.create_model("fmn04", num_classes=2).requires_grad_(False).to(device)
        measured = measure_speed(model, SHORT)
    rows = measured["speeds"]
    assert [(row["mode"], row["precision"], row["autocast"]) for row in rows] == [
        ("fused", "fp16", False),
        ("fused", "fp16", True),
    ]
    assert all(0 < row["max_score_difference"] < 0.1 and row["energy_j_per_clip"] > 0 for row in rows)
    assert measured["throughput"]["clips_per_s"] == rows[0]["clips_per_s"] > 0


def test_a_reading_that_works_at_last_has_no_reason_to_be_missing() -> None:
    sensors = Sensors(torch.device("cpu"))
    assert (sensors.read("mhz", fail), sensors.read("load", fail), sensors.read("mhz", lambda: 7)) == (None, None, 7)
    assert sensors.missing.keys() == {"load"}


def test_no_reading_of_a_cpu_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module, name in ((_sensors, "CPU_INFO"), (_sensors, "GOVERNOR"), (rapl, "POWERCAP")):
        monkeypatch.setattr(module, name, tmp_path / "absent")
    monkeypatch.delattr("os.getloadavg")
    monkeypatch.setattr("efficient_sed.machine.environment.cpu_name", fail)
    monkeypatch.setattr(_sensors, "peak_memory_mb", fail)
    model = es.create_model("fmn04", num_classes=2)
    measured = measure_speed(model, dataclasses.replace(SHORT, threads=1))
    assert measured["peak_memory_mb"] is None
    assert "has no processor package" in measured["speed_missing"]["energy_j_per_clip"]
    assert (
        measured["speed_conditions"].items() >= {"threads": 1, "mhz": None, "governor": None, "load_1min": None}.items()
    )
    assert measured["speed_missing"].keys() == {"mhz", "governor", "load_1min", "peak_memory_mb", "energy_j_per_clip"}
    assert measured["throughput"]["device"] == "cpu of unknown name (OSError: Driver/library version mismatch)"


def test_peak_memory_on_a_gpu_is_that_of_the_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """300 MB before, 900 MB in a pass: the given model counts only where it runs itself, what cuBLAS keeps always."""
    cleared: list[int] = []
    with fake_gpu("cuda") as device:
        monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 300 * 2**20)
        monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: 900 * 2**20)
        monkeypatch.setattr(torch._C, "_cuda_clearCublasWorkspaces", lambda: cleared.append(1))
        model = es.create_model("fmn04", num_classes=2).requires_grad_(False).eval().to(device)
        x = torch.zeros(1, 1, 128, 50, device=device)
        held = (sum(value.nbytes for value in (*model.parameters(), *model.buffers())), x.nbytes)
        with torch.inference_mode():
            for mode, extra in (("eager", sum(held)), ("fused", held[1])):
                peak, _ = throughput._peak(
                    model, throughput.Variant(mode, False), "fp32", "outside", x, Sensors(device)
                )
                assert peak == pytest.approx(600 + extra / 2**20, abs=0.06)
    assert len(cleared) == 2


def test_throughput_of_a_gpu_is_not_waited_for_between_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: events.append("wait"))
    assert clock.seconds_of(lambda: events.append("pass"), CUDA, passes=3) > 0
    assert events == ["wait", "pass", "pass", "pass", "wait"]


BACKENDS = torch.backends
LIBRARIES: list[Any] = [
    getattr(library, part, None) for library in (BACKENDS.cudnn, BACKENDS.mkldnn) for part in ("matmul", "conv", "rnn")
]
FLOAT32_USERS: list[Any] = [
    user
    for user in (BACKENDS, BACKENDS.cudnn, BACKENDS.mkldnn, BACKENDS.cuda.matmul, *LIBRARIES)
    if hasattr(user, "fp32_precision")
]


def float32_switches() -> list[Any]:
    """All that PyTorch says of float32; None of an old name where a new one was used."""
    readers: list[Callable[[], Any]] = [partial(getattr, user, "fp32_precision") for user in FLOAT32_USERS]
    readers += [
        lambda: BACKENDS.cuda.matmul.allow_tf32,
        lambda: BACKENDS.cudnn.allow_tf32,
        torch.get_float32_matmul_precision,
    ]
    values: list[Any] = []
    for read in readers:
        try:
            values.append(read())
        except RuntimeError:
            values.append(None)
    return values


@pytest.fixture
def default_float32() -> Iterator[None]:
    before = float32_switches()
    yield
    torch.set_float32_matmul_precision("highest")
    BACKENDS.cudnn.allow_tf32 = True
    for user, value in zip(FLOAT32_USERS, before, strict=False):
        user.fp32_precision = value
    assert float32_switches() == before


@pytest.mark.parametrize(
    "change",
    [
        *(
            "pass",
            "torch.set_float32_matmul_precision('high')",
            "torch.set_float32_matmul_precision('medium')",
            "cuda.matmul.allow_tf32 = True",
        ),
        *(
            "cudnn.allow_tf32 = False",
            "cuda.matmul.fp32_precision = 'tf32'",
            "cudnn.conv.fp32_precision = 'ieee'",
            "torch.backends.fp32_precision = 'tf32'",
        ),
        "cudnn.fp32_precision = 'ieee'",
    ],
)
@pytest.mark.usefixtures("default_float32")
@pytest.mark.filterwarnings("ignore:Please use the new API:UserWarning")
def test_float32_is_not_rounded_and_the_switches_are_set_back(change: str) -> None:
    if "fp32_precision" in change and not hasattr(BACKENDS.cudnn, "conv"):
        pytest.skip("a name of torch 2.9")
    exec(change, {"torch": torch, "cuda": BACKENDS.cuda, "cudnn": BACKENDS.cudnn})
    before = float32_switches()
    with contextlib.suppress(ZeroDivisionError), exact_float32():
        assert (BACKENDS.cuda.matmul.allow_tf32, BACKENDS.cudnn.allow_tf32) == (False, False)
        assert {part.fp32_precision for part in (BACKENDS.cuda.matmul, *LIBRARIES) if part in FLOAT32_USERS} <= {"ieee"}
        raise ZeroDivisionError
    assert float32_switches() == before


@pytest.mark.parametrize(("kind", "waits"), [("mps", True), ("cuda", False)])
def test_only_a_pinned_copy_is_not_waited_for(kind: str, waits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_to, empty = torch.Tensor.to, torch.empty
    seen: list[Any] = []

    def record(tensor: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        seen.extend([options["non_blocking"]] if "non_blocking" in options else [])
        return copy_to(tensor, *args, **options)

    with fake_gpu(kind) as device:
        monkeypatch.setattr(torch, "empty", lambda *shape, dtype, **_: empty(*shape, dtype=dtype))  # not pinned
        monkeypatch.setattr(torch.Tensor, "to", record)
        move_together([torch.ones(3)], device)
    assert seen == [not waits]


@pytest.mark.parametrize(("kind", "is_pinned"), [("mps", False), ("cuda", True)])
def test_windows_are_scored_while_the_next_ones_are_read(
    kind: str, is_pinned: bool, tiny_config: SyntheticConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = es.create_model("fmn04", classes=tiny_config.load().classes).requires_grad_(False)
    windows = EvaluationWindows(tiny_config.load().validation, model.classes, model.grid, 1.0)
    copy_to, seen = torch.Tensor.to, list[Any]()

    def load(dataset: EvaluationWindows, size: int, *, pin_memory: bool, **_: Any) -> Iterator[Batch]:
        seen.append(pin_memory)
        yield collate([dataset[index] for index in range(size)])

    def record(tensor: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        seen.extend([options["non_blocking"]] if "non_blocking" in options else [])
        return copy_to(tensor, *args, **options)

    with fake_gpu(kind) as device:
        model.to(device)
        monkeypatch.setattr(evaluate, "DataLoader", load)
        monkeypatch.setattr(torch.Tensor, "to", record)
        evaluate.score_windows(model, evaluate.ClipScores(windows), 2, 0, "raise")
    assert seen == [is_pinned, is_pinned]


def test_a_run_on_the_cpu_opens_no_context_on_a_gpu(
    tiny_config: SyntheticConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> NoReturn:
        raise AssertionError("a CUDA context would be opened")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(
        torch.cuda, "is_current_stream_capturing", lambda: False
    )  # optimisers ask; the command hides GPUs from them
    for name in ("_lazy_init", "get_device_name", "get_device_properties", "synchronize"):
        monkeypatch.setattr(torch.cuda, name, refuse)
    pinned: list[bool] = []
    loader = torch.utils.data.DataLoader.__init__
    monkeypatch.setattr(
        torch.utils.data.DataLoader,
        "__init__",
        lambda self, *args, **options: (
            pinned.append(options.get("pin_memory", False)),
            loader(self, *args, **options),
        )[1],
    )
    result = run_experiment(small_run(tiny_config, tmp_path, accelerator="cpu"), show_progress=False)
    names = {
        result["environment"]["device"],
        result["training"]["device"],
        result["complexity"]["throughput"]["device"],
    }
    assert len(names) == 1
    assert names.pop().startswith("CPU ")
    assert not any(pinned)
    assert benchmark_model("fmn04", dataclasses.replace(SHORT, device="cpu"))["environment"]["device"].startswith(
        "CPU "
    )


def test_a_gpu_that_is_not_there() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^benchmark\.device=gpu is not allowed: this machine has no GPU that torch can use; "
        r"give benchmark\.device=cpu$",
    ):
        choose_device("gpu", "benchmark.device")


def test_a_speed_that_cannot_be_measured_is_a_warning_and_made_good_later(
    tiny_config: SyntheticConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = small_run(tiny_config, tmp_path, accelerator="cpu")
    folder = run_folder(config)

    def out_of_memory(*_: Any) -> NoReturn:
        assert read_result(folder) is not None
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 20 GiB")

    monkeypatch.setattr(measure, "measure_speed", out_of_memory)
    monkeypatch.setattr(runner, "draw_curves", fail)
    with caplog.at_level(logging.WARNING):
        result = run_experiment(config, show_progress=False)
    reason = "OutOfMemoryError: CUDA out of memory. Tried to allocate 20 GiB"
    assert (
        f"{folder}: its speed could not be measured ({reason}); "
        "its scores are kept, and the same command measures again" in caplog.messages
    )
    assert result == read_result(folder)
    assert (result["complexity"]["throughput"], result["complexity"]["speed_missing"]) == (None, {"throughput": reason})

    monkeypatch.setattr(runner, "fit", fail)
    monkeypatch.setattr(measure, "measure_speed", measure_speed)
    again = run_experiment(config, show_progress=False)
    assert again == read_result(folder)
    assert again["complexity"]["throughput"]["clips_per_s"] > 0
    assert {**again, "complexity": 0, "measured": 0} == {**result, "complexity": 0, "measured": 0}
    assert again["measured"]["evaluation"] == result["measured"]["evaluation"]
    assert run_experiment(config, show_progress=False) == again

    elsewhere = dataclasses.replace(config, benchmark=dataclasses.replace(config.benchmark, device="cpu"))
    assert run_folder(elsewhere) == folder
    result = run_experiment(elsewhere, show_progress=False)
    assert result["config"]["benchmark"]["device"] == "cpu"
    assert result["complexity"]["speed_environment"]["device"] == result["complexity"]["throughput"]["device"]

    on_gpu = dataclasses.replace(config, benchmark=dataclasses.replace(config.benchmark, device="gpu"))
    with pytest.raises(ConfigError, match=r"^benchmark\.device=gpu is not allowed"):
        run_experiment(on_gpu, show_progress=False)
    assert read_result(folder) == result
    monkeypatch.setattr(measure, "speed_device", lambda _: torch.device("cpu"))
    monkeypatch.setattr(measure, "measure_speed", fail)
    assert run_experiment(on_gpu, show_progress=False) == read_result(folder) == result
