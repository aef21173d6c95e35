"""Peak memory, and errors that say that memory ran out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from efficient_sed.errors import ConfigError
from efficient_sed.machine import memory
from efficient_sed.machine.allocator import return_freed_memory
from efficient_sed.machine.memory import enough_memory, explain, is_memory, process_peak_mb, reset_process_peak


@pytest.mark.skipif(not memory.STATUS.exists(), reason="Linux reports it there")
def test_the_peak_grows_and_can_be_reset() -> None:
    can_reset = reset_process_peak()
    before = process_peak_mb()
    block = np.ones(2**25)  # 256 MB
    grown = process_peak_mb()
    del block
    return_freed_memory()  # commands of earlier tests may have made the allocator keep it
    assert before is not None
    assert grown is not None
    assert 200 < grown - before < 400 or not can_reset
    if can_reset:
        reset_process_peak()
        assert (process_peak_mb() or 0) < grown - 200


def test_the_peak_where_linux_does_not_report_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "STATUS", tmp_path / "none")
    monkeypatch.setattr(memory, "PEAK_RESET", tmp_path / "none" / "clear_refs")
    assert not reset_process_peak()
    assert (process_peak_mb() or 0) > 10


def test_what_pytorch_raises_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    assert is_memory(caught.value)
    assert not is_memory(RuntimeError("shapes differ"))
    with (
        pytest.raises(ConfigError, match=r"^out of memory in a test; give less$"),
        enough_memory("in a test", "give less"),
    ):
        torch.empty(2**50)
    with pytest.raises(RuntimeError, match=r"^shapes differ$"), enough_memory("in a test", "give less"):
        raise RuntimeError("shapes differ")


@pytest.mark.parametrize(
    ("error", "start"),
    [
        (MemoryError(), "out of memory; give a smaller size or batch"),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
            "a process that decodes audio ended (Killed)",
        ),
        (
            RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly"),
            "a process that decodes audio ended (unexpectedly)",
        ),
        (
            RuntimeError(
                "DataLoader worker (pid 7) is killed by signal: Bus error. "
                "It is possible that dataloader's workers are out of shared memory."
            ),
            "a process that decodes audio found too little shared memory",
        ),
    ],
)
def test_explanations(error: BaseException, start: str) -> None:
    assert (explain(error) or "").startswith(start)


def test_other_errors_are_not_explained() -> None:
    assert explain(ValueError("DataLoader worker (pid 7) exited unexpectedly")) is None
