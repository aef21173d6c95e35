"""A two-dimensional convolution that also ends in half precision on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

MOST_CHANNELS, LEAST_PLACES = 16, 15


def ending_conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, ...], padding: tuple[int, ...] | str, dilation: tuple[int, ...] = (1, 1), groups: int = 1
) -> Tensor:
    """`F.conv2d`, in float32 where oneDNN's way never ends.

    That is, with torch 2.11 on CPUs with AVX-512 BF16, a depthwise convolution in half precision of 2 to 16 channels with a kernel of 15 places
    or more, when the input lies in channels_last. The result has the precision that was asked for.
    """
    is_small_and_wide = 1 < groups <= MOST_CHANNELS and max(weight.shape[2:]) >= LEAST_PLACES
    if x.device.type != "cpu" or not is_small_and_wide:
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups)
    wanted = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    if wanted not in (torch.bfloat16, torch.float16):
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups)
    with torch.autocast("cpu", enabled=False):
        return F.conv2d(x.float(), weight.float(), None if bias is None else bias.float(), stride, padding, dilation, groups).to(wanted)
