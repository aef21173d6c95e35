import pytest
import torch

from efficient_sed.config.data import DataConfig
from efficient_sed.data.dataset import TrainingClips
from efficient_sed.data.events import Splits
from efficient_sed.models.factory import create_model
from efficient_sed.training import workers
from efficient_sed.training.workers import choose_workers, workers_for


@pytest.mark.parametrize(
    ("read_s", "step_s", "most", "expected"),
    [
        (0.001, 0.1, 8, 0),  # next to nothing
        (0.01, 0.1, 8, 1),
        (0.1, 0.1, 8, 2),  # as long as a step: one alone would just keep pace
        (0.3, 0.1, 8, 5),
        (3.0, 0.1, 8, 8),
        (3.0, 0.1, 1, 1),
    ],
)
def test_workers_keep_pace_with_the_steps(read_s: float, step_s: float, most: int, expected: int) -> None:
    assert workers_for(read_s, step_s, most) == expected


@pytest.mark.parametrize(("cores", "processes"), [(1, 1), (2, 2), (4, 8)])
def test_no_workers_where_there_is_no_room(
    cores: int, processes: int, monkeypatch: pytest.MonkeyPatch, tiny_data: Splits
) -> None:
    monkeypatch.setattr(workers, "count_cores", lambda: cores)
    model = create_model("fmn04", num_classes=3)
    dataset = TrainingClips(tiny_data.train, tiny_data.classes, model.grid, 2.0, seed=0)
    assert choose_workers(dataset, model, torch.device("cpu"), processes) == 0


def test_measuring_leaves_model_and_random_state_alone(tiny_data: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "count_cores", lambda: 4)
    model = create_model("fmn04", num_classes=3).train()
    dataset = TrainingClips(tiny_data.train, tiny_data.classes, model.grid, 2.0, seed=0)
    state, buffers = torch.get_rng_state(), [buffer.clone() for buffer in model.buffers()]
    assert 0 <= choose_workers(dataset, model, torch.device("cpu"), frozen_stages=9) <= 3
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert all(buffer.equal(before) for buffer, before in zip(model.buffers(), buffers, strict=True))
    assert choose_workers(dataset, model, torch.device("cuda")) == 3


def test_without_a_number_pools_have_a_thread_for_each_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("efficient_sed.config.data.count_cores", lambda: 64)
    assert DataConfig().pool_size == 8
    assert DataConfig(num_workers=0).pool_size == 0
    assert DataConfig(num_workers=20).pool_size == 20
