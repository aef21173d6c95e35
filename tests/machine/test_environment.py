"""Where results say that they come from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from efficient_sed.errors import ConfigError
from efficient_sed.machine import environment
from efficient_sed.machine.environment import (
    choose_device,
    cpu_name,
    describe_environment,
    device_name,
    git_commit,
    one_line,
)


def test_description() -> None:
    found = describe_environment("a device", ["numpy", "no-such-package"])
    assert found["device"] == "a device"
    assert found["versions"]["no-such-package"] is None
    assert found["versions"]["numpy"].count(".") >= 2
    assert found["created"].endswith("+00:00")


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto", "train.device").type == "cpu"
    with pytest.raises(ConfigError, match=r"^train\.device=gpu is not allowed: .*; give train\.device=cpu$"):
        choose_device("gpu", "train.device")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto", "train.device").type == "cuda"
    assert choose_device("cpu", "train.device").type == "cpu"
    assert device_name(torch.device("cpu")) == f"CPU {cpu_name()}, {torch.get_num_threads()} threads"


def test_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "BOARD", tmp_path / "board")
    monkeypatch.setattr(environment, "CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(environment.sys, "platform", "linux")
    assert cpu_name()
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name\t: A CPU @ 2 GHz\n")
    assert cpu_name() == "A CPU @ 2 GHz"
    (tmp_path / "board").write_text("A Board Rev 1.2\0")
    assert cpu_name() == "A Board Rev 1.2"


def test_an_installed_copy_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "package" / "machine" / "environment.py"))
    assert git_commit() == "unknown"


def test_errors_are_one_line() -> None:
    assert one_line(ValueError("a\n  b")) == "ValueError: a b"
    assert one_line(ValueError()) == "ValueError"
