"""Multiply-accumulate operations of a model, by a formula for each module.

Counted: convolutions, linear and recurrent layers, attention products, what Mamba-2 puts into its state and reads from
it, the front end's filter bank and Fourier transform. Not counted, as everywhere: biases, norms, activations, and what
works element by element, such as gates, rotary embedding and the minGRU's scan. Nor is what does not depend on the
clip: kernels with learned positions are built once for inference.

A module of ours answers `macs(inputs, output)` itself, see `models.contracts.CountsMacs`; the tables below are for the
classes of torch and timm. A module that holds weights and has no formula is an error, never zero; so is a product of
tensors outside the modules that have one.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import logging
import math
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.hooks import RemovableHandle

from efficient_sed.benchmark.activations import Activations
from efficient_sed.errors import ConfigError, require
from efficient_sed.models.contracts import CountsMacs
from efficient_sed.models.sed import SedModel

logger = logging.getLogger(__name__)
PARTS = ("frontend", "backbone", "sequence", "classifier")


@dataclass(frozen=True)
class MacsReport:
    """MACs of one forward pass of one clip."""

    total: int
    """Backbone, sequence head and classifier: the front end is left out, as in the published figures."""
    by_part: Mapping[str, int]
    by_module: Mapping[str, int]
    seconds: float
    activations: Activations
    """Of the same parts as the total."""


def _convolution(module: nn.Conv1d | nn.Conv2d, inputs: tuple[Tensor, ...], output: Tensor) -> int:
    return output[0, 0].numel() * module.weight.numel()


def _linear(module: nn.Linear, inputs: tuple[Tensor, ...], output: Tensor) -> int:
    return output[0, ..., 0].numel() * module.weight.numel()


def _recurrent(module: nn.RNNBase, inputs: tuple[Tensor, ...], output: Any) -> int:
    steps = inputs[0].shape[1 if module.batch_first else 0]
    return steps * sum(weight.numel() for name, weight in module.named_parameters() if name.startswith("weight_"))


def _attention(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> int:
    _, T, D = inputs[0].shape
    return 2 * T * T * D  # queries by keys, weights by values; the projections are Linear modules of their own


def _map_attention(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> int:
    _, D, F, T = inputs[0].shape
    return 2 * (F * T) ** 2 * D


def _nothing(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> int:
    return 0


_Formula = Callable[[Any, Any, Any], int]
TORCH_FORMULAS: dict[type[nn.Module], _Formula] = {
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    nn.Linear: _linear,
    nn.GRU: _recurrent,
    nn.LSTM: _recurrent,
    nn.BatchNorm2d: _nothing,
    nn.LayerNorm: _nothing,
}
TIMM_FORMULAS: dict[str, _Formula] = {
    "timm.layers.attention.Attention": _attention,
    "timm.models.vision_transformer.Attention": _attention,  # where older releases have it
    "timm.models.fastvit.Attention": _map_attention,
    "timm.models.fastvit.LayerScale2d": _nothing,
    "timm.models.convnext.ConvNeXtBlock": _nothing,  # its own weight is a scale
    "timm.models.metaformer.LayerNorm2dNoBias": _nothing,
    "timm.models.metaformer.Scale": _nothing,
    "timm.models.metaformer.StarReLU": _nothing,
    "timm.layers.norm.LayerNorm": _nothing,
    "timm.layers.norm.LayerNorm2d": _nothing,
    "timm.layers.norm_act.BatchNormAct2d": _nothing,
}
"""By the full name of the class, since timm is imported only by the models that need it."""

_ADVICE = "give the module a method `macs`, see efficient_sed.models.contracts.CountsMacs"
_PRODUCT = re.compile(
    r"mm_?$|mv_?$|dot$|matmul|^linear$|einsum|^bilinear$|^_trilinear$|conv(olution|\d|_)|attention|"
    r"gru|lstm|rnn|fft_|stft|cdist"
)
"""Names of torch's operations that multiply tensors otherwise than element by element."""


def count_macs(model: SedModel, seconds: float = 10.0) -> MacsReport:
    """Run one clip through the model and add up the formulas. A compiled model is counted as it was before.

    Raises:
        TypeError: If it is no model.
        ConfigError: If the length is not above 0, or a module that owns weights, or that multiplies tensors otherwise
            than through its children, has no formula: give it a method `macs`.
    """
    require(isinstance(seconds, Real) and 0 < seconds < math.inf, "seconds", seconds, "a length above 0")
    model = getattr(model, "_orig_mod", model)
    if not isinstance(model, SedModel):
        advice = "make one by create_model(NAME, num_classes=N) or load_model(NAME)"
        raise TypeError(f"count_macs takes a SedModel, got {type(model).__name__}; {advice}")
    device = next(itertools.chain(model.frontend.parameters(), model.frontend.buffers(), model.parameters())).device
    counted = _count(
        model, lambda: model(model.frontend(torch.zeros(1, round(seconds * model.frontend.sample_rate), device=device)))
    )
    by_module = counted.by_module
    by_part = {part: sum(macs for name, macs in by_module.items() if name.split(".")[0] == part) for part in PARTS}
    total = sum(by_part.values()) - by_part["frontend"]
    return MacsReport(total, by_part, by_module, seconds, counted.activations)


def count_module_macs(module: nn.Module, *inputs: Tensor) -> int:
    """Add up the formulas of one module's forward pass.

    Raises:
        ConfigError: As `count_macs`.
    """
    return sum(_count(module, lambda: module(*inputs)).by_module.values())


def _count(model: nn.Module, run: Callable[[], object]) -> _Counter:
    """MACs by the name of each module that has a formula, and activations, while something runs."""
    counter = _Counter()
    for name, module in model.named_modules():
        if _formula(module) is None and next(module.parameters(recurse=False), None) is not None:
            raise ConfigError(
                f"{name or 'the model'} ({type(module).__name__}) holds weights but count_macs has no formula for it: "
                f"{_ADVICE}"
            )
    hooks = [hook for name, module in model.named_modules() for hook in counter.watch(name, module)]
    was_training = model.training
    try:
        model.eval()
        with torch.inference_mode(), torch.compiler.set_stance("force_eager"), counter:
            run()
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return counter


def _formula(module: nn.Module) -> _Formula | None:
    """The module's own, else that of its class."""
    cls = type(module)
    if isinstance(module, CountsMacs):
        return cls.macs  # type: ignore[attr-defined, no-any-return]
    return TORCH_FORMULAS.get(cls) or TIMM_FORMULAS.get(f"{cls.__module__}.{cls.__qualname__}")


class _Call:
    """A module's forward pass while it runs."""

    def __init__(self, name: str, module: nn.Module) -> None:
        self.name, self.module, self.formula = name, module, _formula(module)
        self.is_open = self.formula in (None, _nothing) or isinstance(module, CountsMacs)
        """Whether its operations are taken apart: all but layers of torch and timm that have products."""
        self.product: str | None = None
        """The first product of tensors that the module itself computed."""


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the formulas as modules are left, and refuses products that none of them covers."""

    harmless: ClassVar[set[Any]] = set()
    """Operations that were found to hold no product."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.by_module: dict[str, int] = {}
        self.activations = Activations()
        """Of all but the front end."""
        self.calls: list[_Call] = []

    def watch(self, name: str, module: nn.Module) -> list[RemovableHandle]:
        """Hooks for before and after the module's forward pass."""

        def enter(module: nn.Module, inputs: Any) -> None:
            self.calls.append(_Call(name, module))

        def leave(module: nn.Module, inputs: Any, output: Any) -> None:
            call = self.calls.pop()
            if call.formula is None:
                return
            macs = call.formula(module, inputs, output)
            if macs == 0 and call.product is not None:
                raise _uncovered(call, call.product)
            self.by_module[name] = self.by_module.get(name, 0) + macs
            if macs and name.split(".", maxsplit=1)[0] != "frontend":
                self.activations = self.activations.after(inputs, output)

        return [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Called for every operation on tensors."""
        kwargs = kwargs or {}
        call = self.calls[-1] if self.calls else None
        if call is not None and call.product is None:
            called = operation.overloadpacket.__name__
            if _PRODUCT.search(called) or operation.namespace not in ("aten", "prim"):
                call.product = called
                if call.formula is None:
                    raise _uncovered(call, called)
            elif operation not in self.harmless and call.is_open:
                with self:  # what is composed of other operations is taken apart, once
                    result = operation.decompose(*args, **kwargs)
                self.harmless.add(operation)
                if result is not NotImplemented:
                    return result
        return operation(*args, **kwargs)


def _uncovered(call: _Call, product: str) -> ConfigError:
    where = f"{call.name or 'the model'} ({type(call.module).__name__})"
    return ConfigError(
        f"{where} calls {product}, but count_macs has no formula that covers it: {_ADVICE}, "
        "or call a module that has one"
    )


def deepspeed_macs(model: SedModel, seconds: float = 10.0) -> int | None:
    """MACs of the model without its front end by DeepSpeed's profiler.

    None where it is not installed or, with a warning, fails.

    In a fresh process: after an exception its patches stay and double every later count. It counts nn.GRU as zero.
    """
    if importlib.util.find_spec("deepspeed") is None:
        return None
    from efficient_sed.models.weights.header import model_header

    done = subprocess.run(
        [sys.executable, "-m", "efficient_sed.benchmark._deepspeed", json.dumps(model_header(model)), str(seconds)],
        capture_output=True,
        text=True,
        check=False,
    )
    count = (done.stdout.strip().splitlines() or [""])[-1]
    if done.returncode == 0 and count.isdecimal():
        return int(count)
    reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    logger.warning("DeepSpeed's profiler failed, its MACs are left out: %s", reason)
    return None
