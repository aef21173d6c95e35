"""Depthwise convolutions whose elements learn their places (DCLS), for any backbone.

Khalfaoui-Hassani et al., "Audio classification with Dilated Convolution with Learnable Spacings", 2023
(https://arxiv.org/abs/2309.13972), section 3.3: a few elements in a large kernel instead of a full small one; layers of
a stage share positions and deviations.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar, get_args

import torch
from torch import Tensor, nn

from efficient_sed.errors import ConfigError, require, require_package
from efficient_sed.models.contracts import Backbone, Positioned
from efficient_sed.models.sed import SedModel

Version = Literal["v0", "v1", "max", "gauss"]
LargerThanMap = Literal["error", "crop", "keep"]
ModelT = TypeVar("ModelT", SedModel, Backbone)
FRAMES = 1001  # of 10 s
MAX_SIZE = 255  # 2 * 128 - 1


@dataclass(frozen=True)
class DclsFields:
    """Options of backbones with learned positions."""

    kernel_count: int = 26
    """Elements of each filter."""
    dilated_size: int = 23
    """Places along frequency and along time that they can take; odd."""
    version: Version = "gauss"
    """How an element between places is interpolated: linearly (v0.

    V1 and max, whose width is learned, sum to one) or by a Gaussian.
    """

    def __post_init__(self) -> None:
        check_kernel(self.kernel_count, self.dilated_size, self.version, "backbone.")


def check_kernel(kernel_count: int, dilated_size: int, version: str, prefix: str = "") -> None:
    """Raise a ConfigError unless such a kernel can be built."""
    is_odd = dilated_size % 2 == 1
    require(
        3 <= dilated_size <= MAX_SIZE and is_odd,
        f"{prefix}dilated_size",
        dilated_size,
        f"an odd number, so that shapes stay, from 3 to {MAX_SIZE}, all of 128 mel bins",
    )
    require(
        1 <= kernel_count <= dilated_size**2,
        f"{prefix}kernel_count",
        kernel_count,
        f"1 to {dilated_size**2}, the places of {prefix}dilated_size={dilated_size}",
    )
    require(version in get_args(Version), f"{prefix}version", version, ", ".join(get_args(Version)))


class _Place(NamedTuple):
    """Where a depthwise convolution is."""

    name: str
    parent: nn.Module
    attribute: str
    conv: nn.Conv2d
    stage: int


def replace_depthwise(
    model: ModelT,
    kernel_count: int = 26,
    dilated_size: int = 23,
    version: Version = "gauss",
    kernel_sizes: Collection[int] | None = None,
    larger_than_map: LargerThanMap = "error",
    input_size: tuple[int, int] | None = None,
) -> ModelT:
    """Replace every depthwise convolution of a model's backbone by a Dcls2d with fresh weights.

    Strides and shapes stay.

    Layers of one stage that have equal channels and strides share positions and deviations. The model itself is
    changed, and can be trained, measured and fused, but not saved: what can be is a registered backbone, such as
    fmn10_dcls or convnext_tiny_dcls.

    Args:
        model: A model or a backbone.
        kernel_count: Elements of each filter.
        dilated_size: Places along frequency and time that they can take.
        version: "gauss", "max", "v1" or "v0", as in the package.
        kernel_sizes: Of the convolutions to replace, such as (7,), default None: all that are larger than 1.
        larger_than_map: What to do where the outermost places see nothing but padding, wherever the filter stands,
            because dilated_size > 2 * n - 1 for a map of n: raise, "crop" the kernel there, or "keep" it, as published.
        input_size: Mel bins and frames that the maps are computed for, default None: the front end's bins (for a
            backbone 128) and 1001 frames.

    Raises:
        ConfigError: If an option is not allowed, there is nothing to replace, or a kernel is larger than its map;
            nothing is replaced then.
        MissingDependencyError: Without the package dcls.
    """
    check_kernel(kernel_count, dilated_size, version)
    require(
        larger_than_map in get_args(LargerThanMap),
        "larger_than_map",
        larger_than_map,
        ", ".join(get_args(LargerThanMap)),
    )
    require_package("replace_depthwise", "DCLS", "dcls")
    from efficient_sed.models.dcls_layer import SpacedConv2d

    backbone = model.backbone if isinstance(model, SedModel) else model
    if not isinstance(backbone, Backbone):
        raise ConfigError(
            f"replace_depthwise takes a model of this package, or its backbone, not a {type(model).__name__}"
        )
    if any(isinstance(part, Positioned) for part in backbone.modules()):
        raise ConfigError(
            "there is nothing to replace: the depthwise convolutions of this model have learned positions already"
        )
    places = list(_find(backbone, kernel_sizes))
    if not places:
        wanted = (
            "a kernel larger than 1"
            if kernel_sizes is None
            else f"a kernel of {' or '.join(map(str, sorted(kernel_sizes)))}"
        )
        raise ConfigError(
            f"there is nothing to replace: {type(backbone).__name__} has no depthwise convolution with {wanted} whose "
            "size is odd"
        )
    sizes = [(dilated_size, dilated_size)] * len(places)
    if larger_than_map != "keep":
        bins = model.frontend.mel_bins if isinstance(model, SedModel) else 128
        maps = _map_sizes(backbone, [place.conv for place in places], input_size or (bins, FRAMES))
        if larger_than_map == "error":
            _refuse_large(places, maps, dilated_size)
        sizes = [(min(dilated_size, 2 * height - 1), min(dilated_size, 2 * width - 1)) for height, width in maps]
    leaders: dict[tuple[object, ...], SpacedConv2d] = {}
    for place, size in zip(places, sizes, strict=True):
        conv = place.conv
        geometry = (place.stage, conv.in_channels, conv.kernel_size, conv.stride, size)
        layer = SpacedConv2d(conv, kernel_count, size, version, leaders.get(geometry))
        leaders.setdefault(geometry, layer)
        setattr(place.parent, place.attribute, layer)
    backbone.is_altered = True
    return model


def _find(backbone: Backbone, kernel_sizes: Collection[int] | None) -> Iterable[_Place]:
    stage_of = {id(module): index for index, stage in enumerate(backbone.stages()) for module in stage.modules()}
    for prefix, parent in backbone.named_modules():
        for attribute, conv in parent.named_children():
            if (
                type(conv) is not nn.Conv2d
                or isinstance(conv.padding, str)
                or conv.padding_mode != "zeros"
                or conv.dilation != (1, 1)
            ):
                continue
            is_depthwise = conv.groups == conv.in_channels == conv.out_channels > 1
            is_wanted = (
                max(conv.kernel_size) > 1 if kernel_sizes is None else set(conv.kernel_size) <= set(kernel_sizes)
            )
            if is_depthwise and is_wanted and all(size % 2 for size in conv.kernel_size):
                yield _Place(f"{prefix}.{attribute}".lstrip("."), parent, attribute, conv, stage_of[id(conv)])


def _map_sizes(backbone: Backbone, convs: Collection[nn.Conv2d], input_size: tuple[int, int]) -> list[tuple[int, int]]:
    """Height and width of what each convolution gets, found without computing anything."""
    sizes: dict[nn.Module, tuple[int, int]] = {}

    def record(conv: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        sizes[conv] = (inputs[0].shape[2], inputs[0].shape[3])

    hooks = [conv.register_forward_pre_hook(record) for conv in convs]
    try:
        tensors = {
            name: tensor.to("meta") for name, tensor in [*backbone.named_parameters(), *backbone.named_buffers()]
        }
        mel = torch.empty(1, 1, *input_size, device="meta", dtype=next(backbone.parameters()).dtype)
        with torch.no_grad():  # training may pass the modules by
            torch.func.functional_call(backbone, tensors, (mel,))
    finally:
        for hook in hooks:
            hook.remove()
    return [sizes[conv] for conv in convs]


def _refuse_large(places: Collection[_Place], maps: Collection[tuple[int, int]], dilated_size: int) -> None:
    too_small = [
        (place.name, size) for place, size in zip(places, maps, strict=True) if dilated_size > 2 * min(size) - 1
    ]
    if too_small:
        name, (height, width) = too_small[0]
        largest = 2 * min(min(size) for _, size in too_small) - 1
        raise ConfigError(
            f"dilated_size={dilated_size} is larger than the map of {len(too_small)} of {len(places)} layers, "
            f"first {name} ({height} x {width}): "
            f"its outermost places would only see padding; give {largest} or less, or larger_than_map='crop'"
        )
