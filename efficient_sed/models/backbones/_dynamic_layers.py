"""What makes a MobileNet dynamic: the context of a block, and the layers that take it; see `dymn.py`."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NUM_KERNELS, NUM_MAPS = 4, 2
batch_norm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)


class Context(NamedTuple):
    """What a block knows of its input."""

    vector: Tensor
    """Shape (batch, context)."""
    frequency: Tensor
    """Logits of the gates along frequency, shape (batch, channels, frequency', 1)."""
    time: Tensor
    """Of those along time, shape (batch, channels, 1, time')."""


class ContextGenerator(nn.Module):
    """Context from the means over time and over frequency, which share a layer.

    Args:
        channels_in: Of the block's input.
        size: Values of the context.
        channels: That the gates are for.
        stride: Of the block's depthwise convolution, in frequency and time.
    """

    def __init__(self, channels_in: int, size: int, channels: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.joint_conv = nn.Conv2d(channels_in, size, 1, bias=False)
        self.joint_norm = batch_norm(size)
        self.joint_act = nn.Hardswish()
        self.conv_f, self.conv_t = nn.Conv2d(size, channels, 1), nn.Conv2d(size, channels, 1)
        self.pool_f = nn.AvgPool2d((3, 1), (stride[0], 1), (1, 0)) if stride[0] > 1 else nn.Identity()
        self.pool_t = nn.AvgPool2d((1, 3), (1, stride[1]), (0, 1)) if stride[1] > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Context:
        """Feature map (batch, channels_in, frequency, time) to its context."""
        num_bands = x.shape[2]
        both = torch.cat([x.mean(3, keepdim=True), x.mean(2, keepdim=True).transpose(2, 3)], 2)
        both = self.joint_act(self.joint_norm(self.joint_conv(both)))
        along_f, along_t = both[:, :, :num_bands], both[:, :, num_bands:].transpose(2, 3)
        return Context(both.mean((2, 3)), self.conv_f(self.pool_f(along_f)), self.conv_t(self.pool_t(along_t)))


class DynamicConv2d(nn.Module):
    """A convolution whose kernel is, for each clip, a mixture of several; followed by BatchNorm.

    Args:
        channels_in: Of the input.
        channels_out: Of the output.
        kernel: Its size.
        context_size: Values of the context.
        stride: In frequency and time.
        groups: 1, or the number of channels.
        temperature: Of the softmax over kernels.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        context_size: int,
        stride: tuple[int, int] = (1, 1),
        groups: int = 1,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.shape = (channels_out, channels_in // groups, kernel, kernel)
        self.stride, self.groups, self.temperature = stride, groups, temperature
        self.residuals = nn.Sequential(nn.Linear(context_size, NUM_KERNELS))
        kernels = torch.empty(NUM_KERNELS, *self.shape)
        for one in kernels:
            nn.init.kaiming_normal_(one, mode="fan_out")
        self.weight = nn.Parameter(kernels.view(1, 1, NUM_KERNELS, -1))  # as in the released files

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Map (batch, channels_in, frequency, time) to (batch, channels_out, frequency', time')."""
        B, C, _, T = x.shape
        mixture = torch.softmax(self.residuals(context.vector) / self.temperature, 1)
        weight = mixture @ self.weight[0, 0]
        if self.shape[2] == 1:  # a product for each clip
            product: Tensor = weight.view(B, *self.shape[:2]) @ x.flatten(2)
            return product.view(B, self.shape[0], -1, T)
        output = F.conv2d(  # clips side by side as channels
            x.reshape(1, B * C, *x.shape[2:]), weight.view(-1, *self.shape[1:]), None, self.stride,
            self.shape[2] // 2, groups=B * self.groups,
        )  # fmt: skip
        return output.view(B, self.shape[0], *output.shape[2:])

    def macs(self, inputs: tuple[Tensor, Context], output: Tensor) -> int:
        """See `contracts.CountsMacs`: the convolution, and the mixture of its kernel."""
        return output[0, 0].numel() * self.weight[0, 0, 0].numel() + self.weight.numel()


class DynamicActivation(nn.Module):
    """The maximum of linear maps of each channel (Dy-ReLU-B): of x itself and 0 where the context says nothing."""

    lambdas: Tensor
    init_v: Tensor

    def __init__(self, channels: int, context_size: int) -> None:
        super().__init__()
        self.channels = channels
        self.coef_net = nn.Sequential(nn.Linear(context_size, 2 * NUM_MAPS * channels))
        self.register_buffer("lambdas", torch.tensor([1.0] * NUM_MAPS + [0.5] * NUM_MAPS))
        self.register_buffer("init_v", torch.tensor([1.0] + [0.0] * (2 * NUM_MAPS - 1)))

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Map (batch, channels, frequency, time) to the same shape."""
        theta = 2 * torch.sigmoid(self.coef_net(context.vector)) - 1
        theta = theta.view(-1, self.channels, 1, 1, 2 * NUM_MAPS) * self.lambdas + self.init_v
        slopes, shifts = theta[..., :NUM_MAPS].unbind(-1), theta[..., NUM_MAPS:].unbind(-1)
        first, second = (x * slope + shift for slope, shift in zip(slopes, shifts, strict=True))
        return torch.maximum(first, second)
