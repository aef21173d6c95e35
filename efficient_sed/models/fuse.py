"""A trained model made ready for inference: the same logits to 1e-5, in less time.

BatchNorm goes into the convolution before it (Jacob et al. 2018, https://arxiv.org/abs/1712.05877, section 3.2), an
activation into the same pass over memory, weights lie in channels_last, and a CPU is fed a few clips at a time. Nothing
here knows an architecture: a module that has a faster form for inference offers it as `fused()`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Protocol, TypeGuard, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

from efficient_sed.models.contracts import Backbone, Positioned
from efficient_sed.models.conv_norm import ConvNormAct
from efficient_sed.models.safe_conv import safe_conv2d
from efficient_sed.models.sed import SedModel

# clips whose early activations, 8 MB each in fmn10, stay in a CPU's cache and malloc's arena; those of eight do not
MICRO_BATCH = 4
HAS_ONEDNN = hasattr(torch.ops.mkldnn, "_convolution_pointwise") and hasattr(
    torch.ops.mkldnn, "_reorder_convolution_weight"
)  # not in every build
ACTIVATIONS: dict[type[nn.Module], str] = {nn.ReLU: "relu", nn.Hardswish: "hardswish", nn.LeakyReLU: "leaky_relu"}


@runtime_checkable
class Fusible(Protocol):
    """A module with a faster form for inference."""

    def fused(self) -> nn.Module:
        """That form, with the same inputs and outputs. It may take this module's weights over."""


class Gate(Protocol):
    """A module that multiplies its input by `gate(input)`."""

    def gate(self, x: Tensor) -> Tensor:
        """Shape (batch, channels, 1, 1)."""


def fuse(model: SedModel) -> SedModel:
    """A copy for inference, on the same device; the given model stays as it is.

    A copy made by this function is returned as it is.

    Its logits differ from the model's by rounding, less than 1e-5 of their range. It can be neither trained nor saved.
    """
    if model.is_fused:
        return model
    fused = copy.deepcopy(model).eval().requires_grad_(False)
    for name, part in list(fused.named_children()):
        setattr(fused, name, fuse_layers(part))
    for part in fused.modules():
        if isinstance(part, nn.RNNBase):
            part.flatten_parameters()  # a copy's weights lie apart, which cuDNN warns of and mends at every pass
    fused.backbone = MicroBatches(fused.backbone)
    fused.is_fused = True
    return fused


def fuse_layers(module: nn.Module) -> nn.Module:
    """A module's faster form, of it as a whole or of the layers in it."""
    if isinstance(module, Fusible):
        module = module.fused()
        return FusedConv2d(module) if _can_fuse(module) else module
    if _runs_in_order(module):
        module = nn.Sequential(*_join(_layers(module)))
    if _can_fuse(module):
        return FusedConv2d(module)
    for name, child in module.named_children():
        setattr(module, name, fuse_layers(child))
    return module


def _can_fuse(layer: nn.Module) -> TypeGuard[nn.Conv2d]:
    return type(layer) is nn.Conv2d and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)


def _runs_in_order(module: nn.Module) -> TypeGuard[nn.Sequential]:
    """Whether it is a Sequential that does nothing else: one with a forward of its own may count on its layers."""
    return type(module) is nn.Sequential or isinstance(module, ConvNormAct)


def _layers(module: nn.Module) -> list[nn.Module]:
    """Those of a Sequential and of the Sequentials in it, in the order in which they run."""
    return [layer for child in module for layer in _layers(child)] if _runs_in_order(module) else [module]


def _is_gate(layer: nn.Module | None) -> TypeGuard[Gate]:
    """Whether it has the method, rather than a part of that name."""
    return callable(getattr(type(layer), "gate", None))


def _join(layers: list[nn.Module]) -> list[nn.Module]:
    """Join each two-dimensional convolution with its neighbours.

    They are the gate before it, and the BatchNorm and then the activation that follow it.
    """
    joined: list[nn.Module] = []
    for layer in (
        layer.fused() if isinstance(layer, Fusible) and isinstance(layer, Positioned) else layer for layer in layers
    ):
        before = joined[-1] if joined else None
        conv = before if isinstance(before, FusedConv2d) and before.activation == "none" else None
        if _can_fuse(layer):
            gate = before if _is_gate(before) else None
            joined[len(joined) - (gate is not None) :] = [FusedConv2d(layer, gate)]
        elif conv is not None and isinstance(layer, nn.BatchNorm2d) and layer.track_running_stats:
            conv.fold(layer)
        elif conv is not None and type(layer) in ACTIVATIONS:
            conv.activation = ACTIVATIONS[type(layer)]
            conv.slope = layer.negative_slope if isinstance(layer, nn.LeakyReLU) else None
        else:
            joined.append(layer)
    return joined


class FusedConv2d(nn.Module):
    """A convolution with BatchNorm in its weights and its activation in the same pass over memory.

    On a CPU by oneDNN: PyTorch's own choice for one clip and one thread is a slow convolution between two copies. A
    gate before a projection (1 x 1, no activation) scales the weights of each clip there, which are far fewer than its
    activations.
    """

    def __init__(self, conv: nn.Conv2d, gate: Gate | None = None) -> None:
        super().__init__()
        self.gate_before = gate
        self.weight, self.bias = conv.weight, conv.bias
        self.stride, self.padding, self.dilation, self.groups = conv.stride, conv.padding, conv.dilation, conv.groups
        self.is_pointwise = (*conv.kernel_size, *conv.stride, *conv.padding, conv.groups) == (1, 1, 1, 1, 0, 0, 1)
        self.activation = "none"
        self.slope: float | None = None  # of a leaky_relu below zero
        self.packed: Tensor | None = None  # the weight as the CPU's routine wants it, made at the first call
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def fold(self, norm: nn.BatchNorm2d) -> None:
        """Take a BatchNorm in evaluation mode into the weights.

        In float64, so that they are rounded once, and on the CPU, since MPS has none.
        """
        weight, bias, mean, variance, scale, shift = (
            None if value is None else value.detach().cpu().double()
            for value in (self.weight, self.bias, norm.running_mean, norm.running_var, norm.weight, norm.bias)
        )
        folded = fuse_conv_bn_weights(weight, bias, mean, variance, norm.eps, scale, shift)  # type: ignore[arg-type]
        device, dtype = self.weight.device, self.weight.dtype
        self.weight, self.bias = (
            nn.Parameter(value.detach().to(dtype).to(device), requires_grad=False) for value in folded
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels_in, height, width) to (batch, channels_out, height', width')."""
        is_plain = _is_plain_on_cpu(x)
        if self.gate_before is not None:
            gate = self.gate_before.gate(x)
            if is_plain and self.is_pointwise and self.activation == "none" and self.bias is not None:
                return self._project(x, gate, self.bias)
            x = x * gate
        if is_plain and HAS_ONEDNN:
            x = x.contiguous(
                memory_format=torch.channels_last
            )  # oneDNN has no fast way with a large depthwise kernel in the other order
            geometry = self.padding, self.stride, self.dilation, self.groups
            if self.packed is None:
                self.packed = torch.ops.mkldnn._reorder_convolution_weight(self.weight, *geometry, list(x.shape))
            output: Tensor = torch.ops.mkldnn._convolution_pointwise(
                x, self.packed, self.bias, *geometry, self.activation, [] if self.slope is None else [self.slope], ""
            )
            return output
        output = safe_conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
        if self.slope is not None:
            return F.leaky_relu(output, self.slope, inplace=True)
        return (
            output.relu_()
            if self.activation == "relu"
            else F.hardswish(output, inplace=True)
            if self.activation == "hardswish"
            else output
        )

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        """See `contracts.CountsMacs`."""
        return output[0, 0].numel() * self.weight.numel()

    def _project(self, x: Tensor, gate: Tensor, bias: Tensor) -> Tensor:
        if self.packed is None:
            self.packed = self.weight.flatten(1).t().contiguous()
        rows = x.permute(0, 2, 3, 1)  # contiguous in channels_last
        output = torch.baddbmm(bias, rows.flatten(1, 2), gate.flatten(2) * self.packed)
        return output.view(*rows.shape[:3], -1).permute(0, 3, 1, 2)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self.packed = None  # of the weights that were there before

    def __getstate__(self) -> dict[str, Any]:
        """All but what copy and pickle cannot take and the next call makes anew."""
        return {**self.__dict__, "packed": None}


def _is_plain_on_cpu(x: Tensor) -> bool:
    """Whether a CPU's fast routines may be called by name: in plain float32.

    Compilers and exporters want the operations that they know.
    """
    is_plain = (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not x.requires_grad
        and not torch.is_autocast_enabled("cpu")
    )
    return is_plain and not torch.compiler.is_compiling() and not torch.onnx.is_in_onnx_export()


def in_micro_batches(run: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Run a few clips at a time on a CPU, and the batch as it is elsewhere.

    Args:
        run: Maps (batch, ...) to (batch, ...), clip by clip.
        x: Shape (batch, ...).
    """
    is_whole = torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export()
    if x.device.type != "cpu" or len(x) <= MICRO_BATCH or is_whole:
        return run(x)
    return torch.cat([run(part) for part in torch.split(x, MICRO_BATCH)])


class MicroBatches(Backbone):
    """A backbone that takes a few clips at a time on a CPU; a GPU takes the batch as it is."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.out_dim, self.time_stride = backbone.out_dim, backbone.time_stride
        self.first_step_frames, self.max_frames, self.is_piecewise = (
            backbone.first_step_frames,
            backbone.max_frames,
            backbone.is_piecewise,
        )

    def forward(self, mel: Tensor) -> Tensor:
        """Spectrogram (batch, 1, mel_bins, frames) to features (batch, time, out_dim)."""
        if not isinstance(mel, Tensor):
            return self._run(mel)  # which says what is wanted
        return in_micro_batches(self._run, mel)

    def _run(self, mel: Tensor) -> Tensor:
        features: Tensor = self.backbone(mel)
        return features

    def stages(self) -> list[nn.Module]:
        """See `contracts.Backbone`."""
        return self.backbone.stages()
