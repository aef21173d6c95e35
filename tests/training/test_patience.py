"""When a training ends, which epoch it keeps, and how long its epochs took."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from efficient_sed.config.run import RunConfig
from efficient_sed.config.training import TrainConfig
from efficient_sed.data.events import Splits
from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.registry import BACKBONES, SEQUENCE_HEADS
from efficient_sed.training import module
from efficient_sed.training.callbacks import EpochTimer
from efficient_sed.training.module import SedModule
from efficient_sed.training.train import fit


def make_config(data: SyntheticConfig, **options: Any) -> RunConfig:
    return RunConfig(
        BACKBONES.get("fmn04")(),
        SEQUENCE_HEADS.get("none")(),
        data,
        TrainConfig(batch_size=4, accelerator="cpu", **options),
    )


def read_checkpoint(path: Path) -> dict[str, Any]:
    checkpoint: dict[str, Any] = torch.load(path, weights_only=True)
    return checkpoint


@pytest.fixture
def losses(monkeypatch: pytest.MonkeyPatch) -> Iterator[float]:
    """Validation losses, one an epoch; what is left of them was not asked for."""
    values = iter([3.0, 2.0, 4.0, 2.5, 2.0, 1.0, 0.5])
    trained = module.detection_loss

    def loss(*arguments: Any, **options: Any) -> dict[str, torch.Tensor]:
        is_validation = not torch.is_grad_enabled()
        return {"loss": torch.tensor(next(values))} if is_validation else trained(*arguments, **options)

    monkeypatch.setattr(module, "detection_loss", loss)
    return values


def test_patience_ends_a_training(
    losses: Iterator[float], tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path
) -> None:
    """The second epoch is the lowest; three further ones are not lower, and the training stays ended when it is begun
    again."""
    config = make_config(tiny_config, epochs=7, select="lowest_loss", patience=3)
    model, facts = fit(config, tiny_data, tmp_path, show_progress=False)
    assert (facts["monitor"], facts["best_score"], facts["epochs"], facts["steps"]) == ("val/loss", 2.0, 5, 10)
    best = read_checkpoint(tmp_path / "best.ckpt")
    assert best["epoch"] == 1
    for key, value in model.state_dict().items():
        assert torch.equal(value, best["state_dict"][f"model.{key}"])
    again, same_facts = fit(config, tiny_data, tmp_path, show_progress=False)
    assert same_facts == facts
    assert list(losses) == [1.0, 0.5]
    assert all(
        torch.equal(one, other)
        for one, other in zip(model.state_dict().values(), again.state_dict().values(), strict=True)
    )


@pytest.mark.usefixtures("losses")
def test_without_patience_the_lowest_of_all(tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path) -> None:
    _, facts = fit(make_config(tiny_config, epochs=6, select="lowest_loss"), tiny_data, tmp_path, show_progress=False)
    assert (facts["best_score"], facts["epochs"]) == (1.0, 6)
    assert read_checkpoint(tmp_path / "best.ckpt")["epoch"] == 5


def test_the_timer_survives_an_interruption(
    tiny_config: SyntheticConfig, tiny_data: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, step, calls = make_config(tiny_config, epochs=3), SedModule.training_step, 0

    def die(self: SedModule, batch: Any, index: int) -> Any:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise InterruptedError
        return step(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(SedModule, "training_step", die)
        with pytest.raises(InterruptedError):
            fit(config, tiny_data, tmp_path, show_progress=False)
    (first,) = read_checkpoint(tmp_path / "last.ckpt")["callbacks"]["EpochTimer"]["seconds"]
    _, facts = fit(config, tiny_data, tmp_path, show_progress=False)
    seconds = read_checkpoint(tmp_path / "last.ckpt")["callbacks"]["EpochTimer"]["seconds"]
    assert len(seconds) == 3
    assert seconds[0] == first
    assert facts["seconds_per_epoch"] == round(sum(seconds) / 3, 3)


def test_a_cut_epoch_is_not_timed() -> None:
    timer, none = EpochTimer(), cast(Any, None)
    for first_batch, expected in ((3, 0), (0, 1), (0, 2)):
        timer.on_train_epoch_start(none, none)
        for index in range(first_batch, 5):
            timer.on_train_batch_start(none, none, none, index)
        timer.on_validation_start(none, none)
        timer.on_train_epoch_end(none, none)
        assert len(timer.state_dict()["seconds"]) == expected
        assert (timer.seconds_per_epoch is None) == (expected == 0)
