import logging
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from efficient_sed.training import progress
from efficient_sed.training.progress import StepClock, ZeroScores
from efficient_sed.training.run_files import describe_progress


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    value = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: value[0])
    return value


def run_steps(clock: StepClock, now: list[float], *seconds: float) -> None:
    clock.start()
    for value in seconds:
        now[0] += value
        clock.end_step()


def test_time_left_is_not_moved_by_a_slow_first_step_or_a_pause(now: list[float]) -> None:
    clock = StepClock()
    run_steps(clock, now, 20.0)
    assert clock.remaining(100, 0, 0) is None  # nothing is said of a step that fills memory
    run_steps(clock, now, 1.0, 1.0, 1.0, 1.0, 60.0)
    assert clock.remaining(100, 0, 0) == pytest.approx(100)


def test_time_left_follows_a_machine_that_gets_busy(now: list[float]) -> None:
    clock = StepClock()
    run_steps(clock, now, *[1.0] * 100, *[2.0] * 25)
    assert clock.remaining(10, 0, 0) == pytest.approx(20)


def test_validations_are_part_of_the_time_left(now: list[float]) -> None:
    clock = StepClock()
    run_steps(clock, now, *[1.0] * 10)
    guessed = clock.remaining(0, 2, 8)
    assert guessed == pytest.approx(2 * 8 * progress.VALIDATION_SHARE)
    clock.start()
    now[0] += 7.0
    clock.end_validation()
    assert clock.remaining(5, 2, 8) == pytest.approx(5 + 2 * 7)


def test_progress_is_worded() -> None:
    values = {"epoch": 2, "epochs": 8, "step": 31, "steps": 200, "loss": 0.1234, "score": None, "eta_s": 125}
    assert describe_progress(values) == "epoch 2/8, step 31/200, loss 0.123, 2:05 of training left"
    values |= {"score": 0.5, "eta_s": None}
    assert describe_progress(values) == "epoch 2/8, step 31/200, loss 0.123, last validation 0.500"


@pytest.mark.parametrize(
    ("scores", "num_warnings"), [([0.0, 0.0, 0.0, 0.0], 1), ([0.0, 0.1, 0.0, 0.0], 0), ([0.0], 0), ([0.001, 0.002], 1)]
)
def test_two_validations_at_zero_are_told_once(
    scores: list[float], num_warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    callback = ZeroScores("val/psds1_macro")
    for score in scores:
        trainer: Any = SimpleNamespace(callback_metrics={"val/psds1_macro": torch.tensor(score)}, is_global_zero=True)
        with caplog.at_level(logging.WARNING):
            callback.on_validation_end(trainer, None)  # type: ignore[arg-type]
        resumed = ZeroScores("val/psds1_macro")
        resumed.load_state_dict(callback.state_dict())
        callback = resumed
    assert sum("train.lr_backbone" in message for message in caplog.messages) == num_warnings
