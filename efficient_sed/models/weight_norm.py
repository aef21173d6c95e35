"""A convolution over time whose kernels are stored as directions and lengths.

Salimans and Kingma, "Weight normalization", NeurIPS 2016 (https://arxiv.org/abs/1602.07868). Parameters have the names
of the released files, `weight_g` and `weight_v`, which torch's own parametrization no longer uses.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class WeightNormConv1d(nn.Module):
    """Convolution of (batch, channels, time) to as many channels, with weight `g * v / ||v||`.

    Args:
        channels: Number of input and output channels.
        kernel_size: Steps that a kernel covers.
        std: Standard deviation of the first weights.
        norm_dims: Dimensions of the weight (out, in, time) that one length is taken over.
        dilation: Steps between the elements of a kernel.
        groups: Number of groups of channels.
        padding: Zeros before and after the input.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int,
        std: float,
        norm_dims: tuple[int, int],
        dilation: int = 1,
        groups: int = 1,
        padding: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__()
        self.norm_dims, self.dilation, self.groups, self.padding = norm_dims, (dilation,), groups, padding
        self.weight_v = nn.Parameter(torch.empty(channels, channels // groups, kernel_size).normal_(0, std))
        self.weight_g = nn.Parameter(torch.linalg.vector_norm(self.weight_v.detach(), dim=norm_dims, keepdim=True))
        self.bias = nn.Parameter(torch.zeros(channels))

    @property
    def weight(self) -> Tensor:
        """The kernels, shape (channels, channels / groups, kernel_size)."""
        length = torch.linalg.vector_norm(self.weight_v, dim=self.norm_dims, keepdim=True)
        weight: Tensor = self.weight_v * (self.weight_g / length)
        return weight

    def forward(self, x: Tensor) -> Tensor:
        """Filter x, shape (batch, channels, time)."""
        padded = F.pad(x, self.padding) if any(self.padding) else x
        return F.conv1d(padded, self.weight, self.bias, dilation=self.dilation, groups=self.groups)

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        """See `contracts.CountsMacs`."""
        return output[0, 0].numel() * self.weight_v.numel()

    def fused(self) -> nn.Module:
        """The same as a plain convolution, after padding if there is any."""
        channels, _, kernel_size = self.weight_v.shape
        conv = nn.Conv1d(
            channels, channels, kernel_size, dilation=self.dilation, groups=self.groups, bias=False, device="meta"
        )
        conv.weight, conv.bias = nn.Parameter(self.weight.detach(), requires_grad=False), self.bias
        return nn.Sequential(nn.ConstantPad1d(self.padding, 0.0), conv) if any(self.padding) else conv
