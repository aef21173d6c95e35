"""The layer of the package dcls as a depthwise convolution whose positions several layers can share.

Khalfaoui-Hassani et al., "Dilated convolution with learnable spacings", ICLR 2023 (https://arxiv.org/abs/2112.03740).
Imported only where the package is installed.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from DCLS.construct.modules import Dcls2d
from torch import Tensor, nn
from torch.nn import functional as F

from efficient_sed.models.safe_conv import safe_conv2d

WEIGHT_STD = 0.02
SMALLEST_SHARE = (
    1e-12  # far below rounding; denormal numbers in a kernel make its convolution ten times as slow on a CPU
)


def dense_kernel(
    weight: Tensor, positions: Tensor, deviations: Tensor | None, size: tuple[int, int], version: str
) -> Tensor:
    """Kernel of a convolution, shape (channels, 1, *size), from elements of which each has a weight and a place.

    Khalfaoui-Hassani et al., "Dilated convolution with learnable spacings: beyond bilinear interpolation", 2023
    (https://arxiv.org/abs/2306.00817). Every interpolation is a product over the axes, so that a kernel of F x T places
    is a matrix product of (F, elements) by (elements, T): the package works on all F x T places of each element.

    Args:
        weight: Shape (channels, 1, elements).
        positions: Shape (2, channels, 1, elements), along frequency and along time, 0 in the middle.
        deviations: The same for the widths of the elements, None for v0 and v1.
        size: Places along frequency and time.
        version: "gauss", "max", "v1" or "v0".
    """
    shares = []
    for axis, length in enumerate(size):
        places = torch.arange(length, device=weight.device) - length // 2
        distance = (places - positions[axis, :, 0, :, None]).abs()  # (C, elements, length)
        shares.append(_share(distance, None if deviations is None else deviations[axis, :, 0, :, None].abs(), version))
    if version != "v0":  # the shares of an element sum to one, also near the border
        weight = weight / (shares[0].sum(-1) * shares[1].sum(-1) + 1e-7).unsqueeze(1)
    return ((weight.transpose(1, 2) * shares[0]).transpose(1, 2) @ shares[1]).unsqueeze(1)


def _share(distance: Tensor, deviation: Tensor | None, version: str) -> Tensor:
    """What an element gives to a place at some distance, along one axis."""
    if deviation is None:
        return (1 - distance).relu()
    if version == "max":
        return (1 + deviation - distance).relu()
    return F.threshold((-0.5 * (distance / (0.27 + deviation)).square()).exp(), SMALLEST_SHARE, 0.0)


class SpacedConv2d(Dcls2d):  # type: ignore[misc]  # the package has no types
    """A depthwise Dcls2d whose kernel is built by `dense_kernel`.

    Its parameters, their first values and their limits are the package's.

    The package's positions come first along frequency, as it limits them; its own v1, max and gauss read them the other
    way round, which is a transposition for square kernels and wrong for others.

    Args:
        conv: The depthwise convolution that it takes the place of; it gives channels, strides, size of the output,
            device and precision.
        kernel_count: Elements of a filter.
        dilated_size: Places that they can take, along frequency and time; odd.
        version: How an element between places is interpolated, "gauss", "max", "v1" or "v0".
        leader: A layer of equal geometry whose positions and deviations are these filters' too, default None: its own.
    """

    def __init__(
        self,
        conv: nn.Conv2d,
        kernel_count: int,
        dilated_size: tuple[int, int],
        version: str,
        leader: SpacedConv2d | None = None,
    ) -> None:
        before: Any = conv.padding
        padding = tuple(
            pad + (new - old) // 2 for pad, new, old in zip(before, dilated_size, conv.kernel_size, strict=True)
        )
        channels, has_bias = conv.in_channels, conv.bias is not None
        with _quiet():  # use_implicit_gemm: that kernel ignores strides and knows no half precision
            super().__init__(
                channels,
                channels,
                kernel_count,
                conv.stride,
                padding,
                dilated_size,
                channels,
                has_bias,
                version=version,
                use_implicit_gemm=False,
            )
        del self.DCK  # what builds the package's kernel
        nn.init.normal_(self.weight, std=WEIGHT_STD)
        if has_bias:
            nn.init.zeros_(self.bias)
        self.__dict__["leader"] = (
            leader  # not as a part of this module: what is shared is counted, saved and trained once
        )
        if leader is not None:
            del self.P, self.SIG
        self.to(conv.weight).train(
            conv.training
        )  # the package makes its parameters on the CPU, whatever device was asked for

    def positions(self) -> list[nn.Parameter]:
        """Where its elements stand and how wide they are, if no other layer owns them."""
        return (
            [] if self.leader is not None else [parameter for parameter in (self.P, self.SIG) if parameter is not None]
        )

    def clamp(self) -> None:
        """Put elements that have left the kernel back on its border."""
        if self.leader is None:
            self.clamp_parameters()

    def kernel(self) -> Tensor:
        """The dense kernel, shape (channels, 1, *dilated_size); computed in float32 at least."""
        owner = self if self.leader is None else self.leader
        dtype = torch.promote_types(self.weight.dtype, torch.float32)
        with torch.autocast(
            "cpu" if self.weight.is_meta else self.weight.device.type, enabled=False
        ):  # the meta device knows none
            deviations = None if owner.SIG is None else owner.SIG.to(dtype)
            return dense_kernel(
                self.weight.to(dtype), owner.P.to(dtype), deviations, self.dilated_kernel_size, self.version
            ).to(self.weight.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, frequency, time), filtered."""
        if x.device.type == "cpu":  # 23 x 23 takes a thirtieth of the time in this order, and half in training
            x = x.contiguous(memory_format=torch.channels_last)
        return safe_conv2d(x, self.kernel(), self.bias, self.stride, self.padding, groups=self.groups)

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        """See `contracts.CountsMacs`: those of the dense kernel, which is built once for inference and not counted."""
        return output[0].numel() * math.prod(self.dilated_kernel_size)

    def fused(self) -> nn.Conv2d:
        """The same as a convolution, whose kernel is built now."""
        conv = nn.Conv2d(
            self.in_channels,
            self.in_channels,
            self.dilated_kernel_size,
            self.stride,
            self.padding,
            groups=self.groups,
            bias=False,
            device="meta",
        )
        conv.weight, conv.bias = nn.Parameter(self.kernel().detach(), requires_grad=False), self.bias
        return conv


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the package's message that PyTorch's convolution is used.

    It is written to the root logger at every layer, which is set up unless it is already.
    """
    root, handler = logging.getLogger(), logging.NullHandler()
    level = root.manager.disable
    root.addHandler(handler)
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(level)
        root.removeHandler(handler)
