import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from efficient_sed.models.conv_norm import ConvNormAct
from efficient_sed.models.factory import create_model, settle_norms


def layer(**options: object) -> ConvNormAct:
    torch.manual_seed(0)
    made = ConvNormAct(40, 40, **{"kernel": 3, **options}).double()  # type: ignore[arg-type]
    with torch.no_grad():
        for tensor in (*made[1].parameters(), made[1].running_mean, made[1].running_var):
            tensor.uniform_(0.5, 1.5)
    return made


@pytest.mark.parametrize("is_frozen", [True, False])
@pytest.mark.parametrize("activation", [None, nn.ReLU, nn.Hardswish])
@pytest.mark.parametrize(
    "options", [{}, {"groups": 40}, {"groups": 40, "kernel": 5, "stride": (2, 1)}, {"kernel": 1}], ids=str
)
def test_values_and_gradients_are_those_of_the_layers_one_by_one(
    options: dict[str, object], activation: type[nn.Module] | None, is_frozen: bool
) -> None:
    ours = layer(**options, activation=activation)
    plain = nn.Sequential(*copy.deepcopy(list(ours)))
    x = torch.randn(2, 40, 9, 12, dtype=torch.float64)
    results = []
    for module in (ours, plain):
        module[1].train(not is_frozen)
        inputs = x.clone().requires_grad_()
        output = module(inputs)
        output.square().sum().backward()
        results.append([output, inputs.grad, *(p.grad for p in module.parameters()), *module.buffers()])
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


def test_a_network_with_frozen_norms_trains_as_layer_by_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    model = settle_norms(create_model("fmn04", num_classes=3)).double()
    mel = torch.randn(2, 1, 128, 80, dtype=torch.float64)

    def gradients() -> list[torch.Tensor]:
        model.zero_grad()
        model(mel).frame_logits.square().mean().backward()
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    model.train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    ours = gradients()
    monkeypatch.setattr(ConvNormAct, "forward", nn.Sequential.forward)
    for mine, theirs in zip(ours, gradients(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-7, atol=1e-8)


def test_replaced_convolutions_and_their_hooks_are_not_passed_by() -> None:
    class Doubled(nn.Conv2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(x)

    made = layer()
    x = torch.randn(1, 40, 5, 5, dtype=torch.float64)
    made[1].eval()  # live, it would undo the factor
    before: Callable[..., torch.Tensor] = nn.Sequential(*made)
    expected = before(x)
    made[0].__class__ = Doubled
    assert not torch.allclose(made(x), expected)
