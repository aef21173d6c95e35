"""Learning rates of every parameter, and their course over a training."""

from __future__ import annotations

import copy
import itertools
import math
from typing import Any

import pytest
import torch

from efficient_sed.config.training import TrainConfig
from efficient_sed.models.factory import create_model
from efficient_sed.models.sed import SedModel
from efficient_sed.registry import BACKBONES
from efficient_sed.training.optim import build_optimizer, parameter_groups, set_batchnorm, warmup_cosine


@pytest.fixture(scope="module")
def model() -> SedModel:
    return create_model("fmn04+tf-64", num_classes=4)


def test_rates_fall_by_stage(model: SedModel) -> None:
    groups = parameter_groups(model, TrainConfig(lr_backbone=2e-3, lr_head=5e-4, layer_decay=0.9))
    rates = {group["name"]: group["lr"] for group in groups}
    assert rates.pop("head") == 5e-4
    assert rates == {f"backbone.{stage}": pytest.approx(2e-3 * 0.9 ** (16 - stage)) for stage in range(17)}
    first = next(group for group in groups if group["name"] == "backbone.0")
    assert first["params"][0] is model.backbone.features[0][0].weight  # type: ignore[union-attr,index]


@pytest.mark.parametrize(("name", "head"), [*((name, "gru-16") for name in BACKBONES.names()), ("fmn04", "tf-64")])
def test_every_trainable_parameter_is_in_one_group(name: str, head: str) -> None:
    with torch.device("meta"):
        model = create_model(f"{name}+{head}", num_classes=4)
    grouped = [id(parameter) for group in parameter_groups(model, TrainConfig()) for parameter in group["params"]]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(parameter) for parameter in model.parameters() if parameter.requires_grad}


@pytest.mark.parametrize("name", ["beats", "atst_f", "fpasst", "m2d", "asit"])
def test_rates_of_the_transformers_are_the_published(name: str) -> None:
    """Twelve stages, of which the last has one factor already; biases and norms are free of weight decay."""
    with torch.device("meta"):
        model = create_model(name, num_classes=4)
    groups = parameter_groups(model, TrainConfig(lr_backbone=2e-3, layer_decay=0.9, weight_decay=0.1))[:-1]
    for group in groups:
        stage, _, vectors = group["name"].removeprefix("backbone.").partition(".")
        assert group["lr"] == pytest.approx(2e-3 * 0.9 ** (12 - int(stage)))
        assert (group.get("weight_decay") == 0.0) == bool(vectors)
        assert {parameter.ndim < 2 for parameter in group["params"]} == {bool(vectors)}
    assert len(groups) == 24


def test_frozen_backbone_is_left_out(model: SedModel) -> None:
    (group,) = parameter_groups(model, TrainConfig(is_backbone_frozen=True))
    assert {id(p) for p in group["params"]} == {
        id(p) for p in itertools.chain(model.sequence.parameters(), model.classifier.parameters()) if p.requires_grad
    }


@pytest.mark.parametrize(
    ("step", "factor"),
    [
        (0, 0.1),
        (4, 0.5),
        (9, 1.0),
        (10, 1.0),
        (55, (1 + 0.02) / 2),
        (100, 0.02),
        (170, 0.02),
        (10 + 30, 0.02 + 0.98 * (1 + math.cos(math.pi / 3)) / 2),
    ],
)
def test_warmup_and_cosine(step: int, factor: float) -> None:
    assert warmup_cosine(step, warmup_steps=10, total_steps=100, final_ratio=0.02) == pytest.approx(factor)


@pytest.mark.parametrize("total_steps", [0, 1])
def test_without_warmup_the_first_step_is_full(total_steps: int) -> None:
    assert warmup_cosine(0, 0, total_steps, 0.5) == 1.0


@pytest.mark.parametrize(
    ("warmup_steps", "total_steps", "expected"),
    [(5000, 300, 150), (50, 300, 50), (20_000, 46_920, 20_000), (5000, 1, 0)],
)
def test_warmup_takes_at_most_half(model: SedModel, warmup_steps: int, total_steps: int, expected: int) -> None:
    optimizer, schedule = build_optimizer(model, TrainConfig(warmup_steps=warmup_steps, lr_head=1.0), total_steps)
    assert type(optimizer) is torch.optim.Adam
    assert optimizer.param_groups[-1]["lr"] == pytest.approx(1 / max(1, expected))
    assert all(group["weight_decay"] == 0 for group in optimizer.param_groups)
    factor = schedule.lr_lambdas[-1]
    assert factor(total_steps) == pytest.approx(0.01)
    if expected:
        assert factor(expected - 2) < factor(expected - 1) == 1.0 == factor(expected) > factor(expected + 1)


@pytest.mark.parametrize("is_backbone_frozen", [False, True])
def test_weight_decay_is_adamw_of_every_parameter(model: SedModel, is_backbone_frozen: bool) -> None:
    """Without a gradient Adam would leave weights as they are; AdamW shrinks norms and biases too, each by its own
    rate."""
    model = copy.deepcopy(model)
    config = TrainConfig(
        weight_decay=0.1, lr_backbone=2e-3, lr_head=5e-4, warmup_steps=0, is_backbone_frozen=is_backbone_frozen
    )
    optimizer, _ = build_optimizer(model, config, 10)
    assert type(optimizer) is torch.optim.AdamW
    before = {parameter: parameter.detach().clone() for parameter in model.parameters()}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    shrunk = {parameter: 1 - group["lr"] * 0.1 for group in optimizer.param_groups for parameter in group["params"]}
    assert len(shrunk) > (10 if is_backbone_frozen else 100)
    for parameter, value in before.items():
        torch.testing.assert_close(parameter.detach(), value * shrunk.get(parameter, 1.0))


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"optimizer": "adam"}, "Adam"),
        ({"optimizer": "adamw"}, "AdamW"),
        ({"optimizer": "adamw", "weight_decay": 0.05}, "AdamW"),
        ({"optimizer": "lamb"}, "Lamb"),
    ],
)
def test_optimizer_by_name(model: SedModel, options: dict[str, Any], kind: str) -> None:
    optimizer, _ = build_optimizer(model, TrainConfig(**options), 10)
    assert type(optimizer).__name__ == kind
    assert {group["weight_decay"] for group in optimizer.param_groups} == {options.get("weight_decay", 0.0)}


def test_lamb_scales_a_layers_step_to_its_weights() -> None:
    """You et al. 2020: the step of each layer is as long as its weights times the learning rate, whatever the
    gradient's size."""
    model = copy.deepcopy(create_model("fmn04", num_classes=2))
    optimizer, _ = build_optimizer(
        model,
        TrainConfig(
            optimizer="lamb", weight_decay=0.1, warmup_steps=0, lr_head=1e-2, lr_backbone=1e-2, layer_decay=1.0
        ),
        10,
    )
    weights = [module.weight for module in model.modules() if isinstance(module, torch.nn.Conv2d | torch.nn.Linear)]
    before = [weight.detach().clone() for weight in weights]
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter) * float(10 ** torch.empty(()).uniform_(-3, 3))
    optimizer.step()
    ratios = [
        float((weight.detach() - value).norm() / value.norm()) for weight, value in zip(weights, before, strict=True)
    ]
    assert len(ratios) > 40
    assert ratios == pytest.approx([1e-2] * len(ratios), rel=1e-3)


@pytest.mark.parametrize("total_steps", [0, 1, 2, 10, 1000])
def test_one_cycle(model: SedModel, total_steps: int) -> None:
    """From a 25th to the peak in 30 % of the steps, then to nearly nothing; every group by its own peak, and it can be
    stepped to the end."""
    config = TrainConfig(schedule="one_cycle", lr_backbone=2e-3, lr_head=5e-4)
    optimizer, schedule = build_optimizer(model, config, total_steps)
    rates = []
    for _ in range(total_steps):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    if total_steps < 10:
        return
    peaks = [group["lr"] for group in parameter_groups(model, config)]
    assert rates[0] == pytest.approx([peak / 25 for peak in peaks])
    assert [max(course) for course in zip(*rates, strict=True)] == pytest.approx(peaks, rel=1e-3)
    assert rates.index(max(rates)) == round(0.3 * total_steps) - 1
    assert rates[-1] == pytest.approx([peak / 25e4 for peak in peaks])
    assert optimizer.param_groups[0]["betas"][0] == pytest.approx(0.95, abs=1e-2)


def test_batchnorm_momentum_reaches_every_layer() -> None:
    model = create_model("fmn04", num_classes=2)
    set_batchnorm(model, 0.07)
    momenta = [module.momentum for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert momenta == [0.07] * len(momenta)
    assert len(momenta) > 40
