"""Meters of energy on make-believe counters: this machine may have none."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from adding import added
from fake_gpu import fake_gpu
from fake_meters import MOST_UJ, NotSupportedError, Powercap, fake_nvml

from efficient_sed.benchmark.energy import nvml, rapl
from efficient_sed.benchmark.energy.blocks import FROZEN, time_blocks
from efficient_sed.benchmark.energy.contract import Meter, NoMeterError, open_meter
from efficient_sed.benchmark.energy.recorder import EnergyRecorder, total
from efficient_sed.registry import METERS

TWO_SOCKETS = {
    "intel-rapl:0": "package-0",
    "intel-rapl:0:0": "core",
    "intel-rapl:0:1": "dram",
    "intel-rapl:1": "package-1",
    "intel-rapl:1:0": "dram",
    "intel-rapl:2": "psys",
    "intel-rapl-mmio:0": "package-0",
}
NEW_METER = """
from efficient_sed.benchmark.energy.contract import Meter, NoMeterError
from efficient_sed.registry import METERS

@METERS.register("mine")
class Mine(Meter):
    part, rank, method, longest_gap_s = "CPU", 1, "a board's own counter", 0.01
    readings = [3.0]

    def __init__(self, gpus=()):
        pass

    def read(self):
        self.readings.append(self.readings[-1] + 2.0)
        return self.readings[-1]
"""


@pytest.fixture
def sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Powercap:
    monkeypatch.setattr(rapl, "POWERCAP", tmp_path)
    return Powercap(tmp_path, TWO_SOCKETS)


def test_packages_and_dram_are_summed_and_nothing_is_counted_twice(sockets: Powercap) -> None:
    meter = open_meter("CPU")
    for joules, zone in enumerate(TWO_SOCKETS):
        sockets.use(zone, 10.0**joules)
    assert meter.read() == pytest.approx(1 + 100 + 1000 + 10_000)
    assert meter.method == "RAPL, 2 packages and DRAM"


def test_a_counter_that_begins_anew(sockets: Powercap) -> None:
    sockets.write("intel-rapl:1", "energy_uj", str(MOST_UJ - 2_000_000))
    meter = open_meter("CPU")
    for _ in range(3):
        sockets.use("intel-rapl:1", MOST_UJ / 1e6 - 1.0)
        sockets.use("intel-rapl:0", 1.0)
        meter.read()
    assert meter.read() == pytest.approx(3 * MOST_UJ / 1e6, abs=1e-3)


def test_a_processor_without_dram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rapl, "POWERCAP", tmp_path)
    Powercap(tmp_path, {"intel-rapl:0": "package-0", "intel-rapl:0:0": "core"})
    assert open_meter("CPU").method == "RAPL, 1 package"


def test_a_counter_for_root_alone_says_what_to_type(sockets: Powercap, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_text

    def refuse(path: Path, **options: Any) -> str:
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path, **options)

    monkeypatch.setattr(Path, "read_text", refuse)
    words = f"intel-rapl:0/energy_uj is readable by root alone; to measure: sudo chmod a+r {sockets.folder}/intel-rapl:"
    with EnergyRecorder.of_device() as recorder:
        assert recorder.joules() is recorder.method is None
    assert recorder.reason is not None
    assert recorder.reason.startswith("CPU: ")
    assert words in recorder.reason


def test_a_machine_without_counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rapl, "POWERCAP", tmp_path / "absent")
    with pytest.raises(NoMeterError, match=r"absent/intel-rapl:\* has no processor package: a virtual machine, "):
        open_meter("CPU")


def test_a_counter_that_fails_later_takes_the_number_not_the_measurement(sockets: Powercap) -> None:
    recorder = EnergyRecorder.of_device()
    assert recorder.joules() == 0.0
    sockets.write("intel-rapl:0", "energy_uj", "nonsense")
    assert recorder.joules() is None
    assert "nonsense" in recorder.missing["CPU"]


def gpus_with(library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", library)


def test_gpus_are_summed(monkeypatch: pytest.MonkeyPatch) -> None:
    boards = {"GPU-0-1": 500.0}
    gpus_with(fake_nvml(nvmlDeviceGetTotalEnergyConsumption=boards.__getitem__), monkeypatch)
    with fake_gpu("cuda") as device:
        meter = open_meter("GPU", [device, device])
    assert (meter.read(), meter.method) == (1.0, "NVML, 2 GPUs")


def test_power_over_time_where_a_gpu_has_no_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Any) -> NoReturn:
        raise NotSupportedError

    watts = iter([100.0, 100.0, 300.0])
    seconds = iter([0.0, 1.0, 1.5])
    library = fake_nvml(nvmlDeviceGetTotalEnergyConsumption=refuse, nvmlDeviceGetPowerUsage=lambda _: 1e3 * next(watts))
    gpus_with(library, monkeypatch)
    monkeypatch.setattr(nvml.time, "monotonic", lambda: next(seconds))
    with fake_gpu("cuda") as device:
        meter = open_meter("GPU", [device])
    assert (meter.read(), meter.longest_gap_s) == (pytest.approx(100 + 0.5 * 200), nvml.POWER_EVERY_S)
    assert meter.method == "NVML, 1 GPU, power every 0.1 s"


def test_gpus_without_a_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus_with(None, monkeypatch)
    with fake_gpu("cuda") as device:
        reason = EnergyRecorder.of_device(device).reason
    assert reason == (
        "GPU: MissingDependencyError: NVML needs the package nvidia-ml-py: pip install 'efficient-sed[energy]'"
    )
    assert EnergyRecorder.of_device(torch.device("mps")).reason == "GPU: NVML reads GPUs of NVIDIA, and mps is none"


def test_a_training_on_a_gpu_needs_both(sockets: Powercap, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus_with(fake_nvml(nvmlDeviceGetTotalEnergyConsumption=lambda _: 7000), monkeypatch)
    with fake_gpu("cuda") as device:
        recorder = EnergyRecorder.of_machine([device])
        assert (recorder.parts, recorder.method) == (("CPU", "GPU"), "RAPL, 2 packages and DRAM + NVML, 1 GPU")
        sockets.use("intel-rapl:0", 4.0)
        assert recorder.joules_by_part() == {"CPU": 4.0, "GPU": 0.0}
        (sockets.folder / "intel-rapl:0" / "energy_uj").unlink()
        assert recorder.joules_by_part() == {"CPU": None, "GPU": 0.0}
    assert (total({"CPU": None, "GPU": 1.0}), total({"CPU": 2.0, "GPU": 1.0})) == (None, 3.0)


def test_a_new_meter_is_one_file_and_is_read_often_enough(tmp_path: Path) -> None:
    with added(METERS, tmp_path, "mine", NEW_METER):
        readings = METERS.get("mine").readings
        with EnergyRecorder.of_device() as recorder:
            assert recorder.method == "a board's own counter"
            waited_until = time.monotonic() + 10
            while len(readings) < 8 and time.monotonic() < waited_until:
                time.sleep(0.01)
        assert len(readings) >= 8
        joules = recorder.joules()
        assert joules is not None
        assert joules >= 10


def test_joules_of_a_pass(sockets: Powercap) -> None:
    """In turn, each with its own; and None where nothing was counted."""
    costs = {"small": 1.0, "large": 3.0}
    runs = {name: lambda joules=joules: sockets.use("intel-rapl:0", joules) for name, joules in costs.items()}
    recorder = EnergyRecorder.of_device()
    blocks = time_blocks(runs, recorder, 2, 1e-4)
    assert {name: block.joules_per_pass for name, block in blocks.items()} == pytest.approx(costs)
    assert [len(block.paces) for block in blocks.values()] == [2, 2]
    (still,) = time_blocks({"still": lambda: None}, recorder, 2, 1e-4).values()
    assert (still.joules_per_pass, recorder.reason) == (None, f"CPU: {FROZEN}")


def test_every_meter_keeps_the_contract() -> None:
    entries = [METERS.get(name) for name in METERS.names()]
    assert len(entries) >= 2
    for entry in entries:
        assert issubclass(entry, Meter)
        assert entry.part in ("CPU", "GPU")
