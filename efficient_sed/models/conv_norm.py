"""Convolution, BatchNorm and activation as one layer, which is cheap to train while its BatchNorm is frozen.

A BatchNorm whose statistics are fixed is a scale and a shift of each channel. Both go into the convolution (Jacob et
al. 2018, https://arxiv.org/abs/1712.05877, section 3.2): its few weights are scaled instead of its many outputs, and
the gradients of weight, scale and shift come through the scaled weights.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from efficient_sed.models.depthwise import Pair, conv2d


class ConvNormAct(nn.Sequential):
    """Convolution without bias, BatchNorm and, if given, an activation.

    Outside of training the layers run one after the other.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        stride: tuple[int, int] = (1, 1),
        groups: int = 1,
        activation: type[nn.Module] | None = None,
    ) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
            nn.BatchNorm2d(channels_out, eps=1e-3, momentum=0.01),
            *([activation(inplace=activation is nn.ReLU)] if activation else []),  # others copy their input first
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels_in, height, width) to (batch, channels_out, height', width')."""
        conv, norm, *activations = cast(tuple[nn.Conv2d, nn.BatchNorm2d, nn.Module], tuple(self))
        is_plain = type(conv) is nn.Conv2d  # another layer may have been put in its place
        if not (self.training and is_plain and _is_trained()):
            return cast(Tensor, super().forward(x))  # type: ignore[no-untyped-call]
        weight, bias = (conv.weight, None) if norm.training else _folded(conv.weight, norm)
        output = conv2d(x, weight, bias, conv.stride, cast(Pair, conv.padding), conv.groups)
        for layer in [norm, *activations] if norm.training else activations:
            output = layer(output)
        return output


def _is_trained() -> bool:
    """Whether gradients are wanted, and no compiler or exporter looks on, which want the layers that they know."""
    return torch.is_grad_enabled() and not torch.compiler.is_compiling() and not torch.onnx.is_in_onnx_export()


def _folded(weight: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution that does what a convolution and a BatchNorm in evaluation mode do."""
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    scale = norm.weight * torch.rsqrt(variance + norm.eps)
    return weight * scale[:, None, None, None], norm.bias - mean * scale
