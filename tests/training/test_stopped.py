"""Training that is told to stop."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from efficient_sed.config.augmentation import AugmentConfig
from efficient_sed.config.run import RunConfig
from efficient_sed.config.training import TrainConfig
from efficient_sed.data.events import Splits
from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.errors import PreemptedError
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS
from efficient_sed.training import callbacks
from efficient_sed.training.callbacks import LOOK_EVERY_S, StopOnSignal
from efficient_sed.training.progress import ProgressFile
from efficient_sed.training.run_files import LAST_CHECKPOINT
from efficient_sed.training.train import fit


def make_config(data: SyntheticConfig, **train: Any) -> RunConfig:
    options = {"epochs": 2, "batch_size": 2, "accelerator": "cpu", "select": "last", "augment": AugmentConfig()} | train
    return RunConfig(BACKBONES.get("fmn04")(), SEQUENCE_HEADS.get("mingru")(hidden=16), data, TrainConfig(**options))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(folder / LAST_CHECKPOINT, weights_only=True)["state_dict"]
    return state


@pytest.mark.parametrize(
    ("stop_after", "accumulate", "ema_decay"),
    [pytest.param(1, 1, 0.0, marks=pytest.mark.long), (2, 2, 0.9), pytest.param(4, 1, 0.0, marks=pytest.mark.long)],
)
def test_sigterm_saves_and_the_same_call_goes_on(
    tiny_config: SyntheticConfig,
    tiny_data: Splits,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop_after: int,
    accumulate: int,
    ema_decay: float,
) -> None:
    config = make_config(tiny_config, accumulate=accumulate, ema_decay=ema_decay)
    fit(config, tiny_data, tmp_path / "whole", show_progress=False)
    steps = 0

    def terminate(*_: object) -> None:
        nonlocal steps
        steps += 1
        if steps == stop_after:
            signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patched:
        patched.setattr(ProgressFile, "on_train_batch_start", terminate, raising=False)
        with pytest.raises(
            PreemptedError, match=r"^stopped by SIGTERM after step \d+; the same command goes on from there$"
        ):
            fit(config, tiny_data, tmp_path / "stopped", show_progress=False)
    assert signal.getsignal(signal.SIGTERM) == before
    assert (
        torch.load(tmp_path / "stopped" / LAST_CHECKPOINT, weights_only=True)["global_step"] * accumulate >= stop_after
    )
    _, facts = fit(config, tiny_data, tmp_path / "stopped", show_progress=False)
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    assert facts["steps"] == torch.load(tmp_path / "whole" / LAST_CHECKPOINT, weights_only=True)["global_step"]
    for key, value in whole.items():
        assert torch.equal(value, resumed[key]), key


@pytest.mark.parametrize("seconds", [0.01, 0.4, 30.0])
def test_several_processes_agree_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Two threads stand for them, one a fifth slower: they stop after the same step, soon after one was asked, and
    seldom wait for each other."""
    asked_at, meeting, given, stopped = 1000, threading.Barrier(2), {}, {}
    clock = threading.local()
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: clock.now)

    def reduce(values: torch.Tensor, reduce_op: str) -> torch.Tensor:
        assert reduce_op == "max"
        given[threading.get_ident()] = values
        meeting.wait()
        largest = torch.stack(list(given.values())).amax(0)
        meeting.wait()
        return largest

    def train(rank: int) -> None:
        clock.now, looks = 0.0, 0

        def counted(*arguments: Any, **options: Any) -> torch.Tensor:
            nonlocal looks
            looks += 1
            return reduce(*arguments, **options)

        trainer: Any = SimpleNamespace(
            world_size=2, accumulate_grad_batches=1, global_step=0, save_checkpoint=lambda _: None,
            strategy=SimpleNamespace(root_device=torch.device("cpu"), reduce=counted),
            fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=SimpleNamespace(is_last_batch=False))),
        )  # fmt: skip
        stop = StopOnSignal(tmp_path / "last.ckpt")
        stop.on_train_start(trainer, None)  # type: ignore[arg-type]
        for trainer.global_step in range(1, 10_000):
            clock.now += seconds * (1 + 0.2 * rank)
            if rank == 1 and trainer.global_step == asked_at:
                stop._ask(signal.SIGTERM, None)
            try:
                stop.on_train_batch_end(trainer, None, None, None, 0)  # type: ignore[arg-type]
            except PreemptedError:
                stopped[rank] = trainer.global_step, looks
                return

    threads = [threading.Thread(target=train, args=(rank,)) for rank in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stopped[0] == stopped[1]
    step, looks = stopped[0]
    most_steps = max(1, LOOK_EVERY_S / seconds)
    assert asked_at <= step <= asked_at + most_steps
    assert looks <= 3 + 1.3 * step / most_steps
