"""The timing protocol: what counts, in which order, and which statistics are made of it."""

from __future__ import annotations

import numpy as np
import pytest

from efficient_sed.benchmark import clock
from efficient_sed.benchmark.clock import WARM_UP, seconds_of, summarise, take_turns


def test_runs_take_turns_and_the_warm_up_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now, order = [0.0], []

    def run(name: str, seconds: float) -> None:
        order.append(name)
        now[0] += seconds * (100 if len(order) <= 2 * WARM_UP else 1)  # the first passes are slow

    monkeypatch.setattr(clock.time, "perf_counter", lambda: now[0])
    seconds = take_turns({"a": lambda: run("a", 1.0), "b": lambda: run("b", 2.0)}, repeats=4)
    assert order == ["a", "b"] * (WARM_UP + 4)
    assert seconds == {"a": pytest.approx([1.0] * 4), "b": pytest.approx([2.0] * 4)}


def test_seconds_of_many_passes_are_their_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def run() -> None:
        now[0] += len(passes) + 1.0
        passes.append(1)

    passes: list[int] = []
    monkeypatch.setattr(clock.time, "perf_counter", lambda: now[0])
    assert seconds_of(run, passes=3) == pytest.approx((1 + 2 + 3) / 3)


def test_cpu_time_leaves_out_what_others_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = {"wall": 0.0, "cpu": 0.0}

    def run() -> None:
        now["wall"] += 9.0
        now["cpu"] += 2.0

    monkeypatch.setattr(clock.time, "perf_counter", lambda: now["wall"])
    monkeypatch.setattr(clock.time, "process_time", lambda: now["cpu"])
    assert take_turns({"a": run}, repeats=2, clock="cpu") == {"a": [2.0, 2.0]}
    assert seconds_of(run) == 9.0


def test_statistics() -> None:
    seconds = [0.5, 0.1, 0.2, 0.4, 0.25]
    pace = summarise(seconds, batch_size=4)
    assert pace.clips_per_s == 16.0  # the median of 8, 40, 20, 10 and 16
    assert pace.quartiles == (10.0, 20.0)
    assert pace.latency_ms == 250.0
    assert pace.latency_p95_ms == pytest.approx(1e3 * np.percentile(seconds, 95), abs=1e-3)


def test_throughput_of_blocks_and_latency_of_single_passes() -> None:
    pace = summarise([0.5, 0.5, 0.5], batch_size=2, seconds_per_pass=[0.1, 0.1])
    assert (pace.clips_per_s, pace.quartiles, pace.latency_ms) == (20.0, (20.0, 20.0), 500.0)
