"""The weight-normalised convolution against torch's parametrization."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from efficient_sed.benchmark.macs import count_module_macs
from efficient_sed.models.weight_norm import WeightNormConv1d


@pytest.mark.parametrize(
    ("norm_dims", "kept_dim", "options"),
    [((1, 2), 0, {"dilation": 4}), ((0, 1), 2, {"groups": 3, "padding": (2, 1)})],
    ids=["a length for each filter", "a length for each element"],
)
def test_it_is_torchs(norm_dims: tuple[int, int], kept_dim: int, options: dict[str, object]) -> None:
    torch.manual_seed(0)
    layer = WeightNormConv1d(6, 4, 0.3, norm_dims, **options)  # type: ignore[arg-type]
    padding = options.pop("padding", (0, 0))
    conv = nn.Conv1d(6, 6, 4, **options)  # type: ignore[arg-type]
    conv.weight, conv.bias = nn.Parameter(layer.weight_v.detach().clone()), layer.bias
    reference = weight_norm(conv, dim=kept_dim)
    x = torch.randn(2, 6, 40)
    torch.testing.assert_close(layer(x), reference(F.pad(x, padding)))  # type: ignore[arg-type]
    torch.testing.assert_close(layer(x), conv(F.pad(x, padding)))  # type: ignore[arg-type]
    with torch.no_grad():
        layer.weight_g.mul_(2)
        reference.parametrizations.weight.original0.mul_(2)
    torch.testing.assert_close(layer(x), reference(F.pad(x, padding)))  # type: ignore[arg-type]
    torch.testing.assert_close(layer.fused()(x), layer(x))
    assert (
        count_module_macs(layer, x[:1])
        == count_module_macs(layer.fused(), x[:1])
        == layer(x)[0, 0].numel() * (6 * 6 // conv.groups * 4)
    )
