"""The convolution that ends in half precision: on some CPUs a failure of these is a hang."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

import efficient_sed as es
from efficient_sed.machine.onednn import MAX_CHANNELS, MIN_KERNEL, hangs_in_half_precision
from efficient_sed.models.safe_conv import safe_conv2d

ORDERS = (torch.contiguous_format, torch.channels_last)


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(
    ("channels", "size"),
    [(2, 23), (8, MIN_KERNEL), (MAX_CHANNELS, 23), (MAX_CHANNELS + 1, 23), (8, MIN_KERNEL - 1)],
)
def test_half_precision_is_that_of_float32(
    channels: int, size: int, precision: torch.dtype, order: torch.memory_format
) -> None:
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (
        torch.randn(shape, generator=generator)
        for shape in ((1, channels, 32, 100), (channels, 1, size, size), (channels,))
    )
    x, geometry = x.contiguous(memory_format=order), ((1, 1), (size // 2, size // 2), (1, 1), channels)
    full = F.conv2d(x, weight, bias, *geometry)
    assert torch.equal(safe_conv2d(x, weight, bias, *geometry), full)
    halves = safe_conv2d(x.to(precision), weight.to(precision), bias.to(precision), *geometry)
    with torch.autocast("cpu", precision):
        automatic = safe_conv2d(x, weight, bias, *geometry)
    for half in (halves, automatic):
        assert half.dtype == precision
        assert (half.float() - full).abs().max() < 0.02 * full.abs().max()


@pytest.mark.parametrize("is_fused", [False, True])
def test_no_model_calls_one_that_never_ends(monkeypatch: pytest.MonkeyPatch, is_fused: bool) -> None:
    """Whatever this CPU would do: what is called is looked at."""
    model, wide = es.create_model("fmn04_dcls", num_classes=3).eval(), []

    def seen(x: torch.Tensor, weight: torch.Tensor, *others: Any) -> torch.Tensor:
        if hangs_in_half_precision(others[-1], weight.shape[2:]):
            wide.append(
                torch.float32 if x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu") else torch.bfloat16
            )
        return conv2d(x, weight, *others)

    conv2d = F.conv2d
    monkeypatch.setattr(F, "conv2d", seen)
    run = es.fuse(model) if is_fused else model
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        run(torch.randn(1, 1, 128, 100))
    assert wide
    assert set(wide) == {torch.float32}
