"""A two-dimensional convolution that avoids a bug of oneDNN in half precision on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from efficient_sed.machine.onednn import hangs_in_half_precision


def safe_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, ...],
    padding: tuple[int, ...] | str,
    dilation: tuple[int, ...] = (1, 1),
    groups: int = 1,
) -> Tensor:
    """`F.conv2d`, computed in float32 where a CPU would never finish it in half precision; see `machine.onednn`.

    Returns:
        The result in the precision that was asked for.
    """
    if x.device.type != "cpu" or not hangs_in_half_precision(groups, weight.shape[2:]):
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups)
    wanted = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    if wanted not in (torch.bfloat16, torch.float16):
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups)
    with torch.autocast("cpu", enabled=False):
        return F.conv2d(
            x.float(), weight.float(), None if bias is None else bias.float(), stride, padding, dilation, groups
        ).to(wanted)
