"""Training that is told to stop."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from efficient_sed.config.schema import AugmentConfig, RunConfig, TrainConfig
from efficient_sed.data.events import Splits
from efficient_sed.data.synthetic import SyntheticConfig
from efficient_sed.errors import PreemptedError
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS
from efficient_sed.training.callbacks import ProgressFile
from efficient_sed.training.train import LAST_CHECKPOINT, fit


def make_config(data: SyntheticConfig, **train: Any) -> RunConfig:
    options = {"epochs": 2, "batch_size": 2, "accelerator": "cpu", "select": "last", "augment": AugmentConfig()} | train
    return RunConfig(BACKBONES.get("fmn04")(), SEQUENCE_HEADS.get("mingru")(hidden=16), data, TrainConfig(**options))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(folder / LAST_CHECKPOINT, weights_only=True)["state_dict"]
    return state


@pytest.mark.parametrize(("stop_after", "accumulate", "ema_decay"), [pytest.param(1, 1, 0.0, marks=pytest.mark.long), (2, 2, 0.9), pytest.param(4, 1, 0.0, marks=pytest.mark.long)])
def test_sigterm_saves_and_the_same_call_goes_on(
    tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int, accumulate: int, ema_decay: float
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
        with pytest.raises(PreemptedError, match=r"^stopped by SIGTERM after step \d+; the same command goes on from there$"):
            fit(config, tiny_data, tmp_path / "stopped", show_progress=False)
    assert signal.getsignal(signal.SIGTERM) == before
    assert torch.load(tmp_path / "stopped" / LAST_CHECKPOINT, weights_only=True)["global_step"] * accumulate >= stop_after
    _, facts = fit(config, tiny_data, tmp_path / "stopped", show_progress=False)
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    assert facts["steps"] == torch.load(tmp_path / "whole" / LAST_CHECKPOINT, weights_only=True)["global_step"]
    for key, value in whole.items():
        assert torch.equal(value, resumed[key]), key
