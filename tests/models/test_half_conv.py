"""The convolution that ends in half precision: on some CPUs a failure of these is a hang."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from efficient_sed._endless import LEAST_PLACES, MOST_CHANNELS
from efficient_sed.models._half_conv import ending_conv2d

ORDERS = (torch.contiguous_format, torch.channels_last)


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(("channels", "size"), [(2, 23), (8, LEAST_PLACES), (MOST_CHANNELS, 23), (MOST_CHANNELS + 1, 23), (8, LEAST_PLACES - 1)])
def test_half_precision_is_that_of_float32(channels: int, size: int, precision: torch.dtype, order: torch.memory_format) -> None:
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(shape, generator=generator) for shape in ((1, channels, 32, 100), (channels, 1, size, size), (channels,)))
    x, geometry = x.contiguous(memory_format=order), ((1, 1), (size // 2, size // 2), (1, 1), channels)
    full = F.conv2d(x, weight, bias, *geometry)
    assert torch.equal(ending_conv2d(x, weight, bias, *geometry), full)
    halves = ending_conv2d(x.to(precision), weight.to(precision), bias.to(precision), *geometry)
    with torch.autocast("cpu", precision):
        automatic = ending_conv2d(x, weight, bias, *geometry)
    for half in (halves, automatic):
        assert half.dtype == precision
        assert (half.float() - full).abs().max() < 0.02 * full.abs().max()
