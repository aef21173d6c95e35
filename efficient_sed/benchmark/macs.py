"""Multiply-accumulate operations, by formula per module.

Counted: convolutions, linear and recurrent layers, attention products, what Mamba-2 puts into its state and reads from it, the front end's
filter bank and Fourier transform. Not counted, as everywhere: biases, norms, activations, and what works element by element: gates, rotary
embedding, the minGRU's scan. Nor is what does not depend on the clip: kernels with learned positions are built once for inference. A module
that holds weights and has no formula is an error, never zero; so is a product of tensors outside the modules that have one.
"""

from __future__ import annotations

import importlib.util
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

from efficient_sed.audio.frontends.dcls import FFT_LENGTH as DECIBEL_FFT_LENGTH
from efficient_sed.audio.frontends.dcls import DecibelMel
from efficient_sed.audio.frontends.erann import ErannMel
from efficient_sed.audio.frontends.mel import FFT_LENGTH, MEL_BINS, WINDOW_LENGTH, LogMel
from efficient_sed.audio.frontends.mel40 import Mel40, TiledMel
from efficient_sed.audio.frontends.transformers import (
    KALDI_FFT,
    KALDI_WINDOW,
    AsitMel,
    AtstMel,
    BeatsMel,
    CentredMel,
    KaldiMel,
    M2dMel,
    PasstMel,
)
from efficient_sed.errors import ConfigError, require
from efficient_sed.models.backbones.asit import AsitEmbedding
from efficient_sed.models.backbones.atst_f import AtstEmbedding
from efficient_sed.models.backbones.beats import BiasedAttention, PositionConv, RelativeBias
from efficient_sed.models.backbones.fpasst import PasstEmbedding
from efficient_sed.models.backbones.m2d import M2dEmbedding
from efficient_sed.models.fuse import FusedConv2d
from efficient_sed.models.sed import SedModel
from efficient_sed.models.sequence.blocks import GatedAttention, RMSNorm, RotaryEmbedding
from efficient_sed.models.sequence.hybrid import HybridMixer
from efficient_sed.models.sequence.mamba import STATE_DIM, Mamba2
from efficient_sed.models.sequence.tcn import WeightNormConv

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


def _convolution(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> int:
    weight: Tensor = module.weight_v if isinstance(module, WeightNormConv | PositionConv) else module.weight  # type: ignore[assignment]
    return output[0, 0].numel() * weight.numel()


def _linear(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> int:
    weight: Tensor = module.weight  # type: ignore[assignment]
    return output[0, ..., 0].numel() * weight.numel()


def _recurrent(module: nn.RNNBase, inputs: tuple[Tensor, ...], output: Any) -> int:
    steps = inputs[0].shape[1 if module.batch_first else 0]
    return steps * sum(weight.numel() for name, weight in module.named_parameters() if name.startswith("weight_"))


def _attention_products(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> int:
    _, T, D = inputs[0].shape
    return 2 * T * T * D  # queries by keys, weights by values; the projections are Linear modules of their own


def _map_attention_products(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> int:
    _, D, F, T = inputs[0].shape
    return 2 * (F * T) ** 2 * D


def _spaced_convolution(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> int:
    F, T = module.dilated_kernel_size
    return output[0].numel() * int(F * T)


def _state_products(module: Mamba2, inputs: tuple[Tensor, ...], output: Any) -> int:
    return 2 * inputs[0].shape[1] * module.inner * STATE_DIM  # into the state and out of it, each step


def _nothing(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> int:
    return 0


def _log_mel(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> int:
    pre_emphasis = inputs[0].shape[1] - 1
    return pre_emphasis + output.shape[-1] * _mel_frame(WINDOW_LENGTH, FFT_LENGTH, MEL_BINS)


def _decibel_mel(module: DecibelMel, inputs: tuple[Tensor, ...], output: Tensor) -> int:
    return output.shape[-1] * _mel_frame(DECIBEL_FFT_LENGTH, DECIBEL_FFT_LENGTH, module.mel_bins)


def _kaldi_mel(module: KaldiMel, inputs: tuple[Tensor, ...], output: Tensor) -> int:
    pre_emphasis = KALDI_WINDOW
    return output.shape[-1] * (pre_emphasis + _mel_frame(KALDI_WINDOW, KALDI_FFT, module.mel_bins))


def _centred_mel(module: CentredMel, inputs: tuple[Tensor, ...], output: Tensor) -> int:
    return output.shape[-1] * _mel_frame(module.fft_length, module.fft_length, module.mel_bins)


def _tiled_mel(module: TiledMel, inputs: tuple[Tensor, ...], output: Tensor) -> int:
    analysis = module.analysis
    cosines = module.mel_bins * analysis.mel_bands if analysis.has_cepstrum else 0
    return output.shape[-1] * (_mel_frame(analysis.window_length, analysis.fft_length, analysis.mel_bands) + cosines)


def _mel_frame(window_length: int, fft_length: int, mel_bands: int) -> int:
    """Window, Fourier transform, power and filter bank of one frame."""
    fourier = (
        2 * (fft_length // 2) * int(math.log2(fft_length))
    )  # real input: half the butterflies, each four real multiplications
    bins = fft_length // 2 + 1
    return window_length + fourier + 2 * bins + mel_bands * bins


FORMULAS: dict[type[nn.Module], Callable[[Any, Any, Any], int]] = {
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    FusedConv2d: _convolution,
    WeightNormConv: _convolution,
    PositionConv: _convolution,
    nn.Linear: _linear,
    nn.GRU: _recurrent,
    nn.LSTM: _recurrent,
    GatedAttention: _attention_products,
    HybridMixer: _attention_products,
    BiasedAttention: _attention_products,
    Mamba2: _state_products,
    LogMel: _log_mel,
    Mel40: _tiled_mel,
    ErannMel: _tiled_mel,
    DecibelMel: _decibel_mel,
    PasstMel: _log_mel,
    BeatsMel: _kaldi_mel,
    AsitMel: _kaldi_mel,
    AtstMel: _centred_mel,
    M2dMel: _centred_mel,
    nn.BatchNorm2d: _nothing,
    nn.LayerNorm: _nothing,
    RMSNorm: _nothing,
    RotaryEmbedding: _nothing,
    RelativeBias: _nothing,
    AsitEmbedding: _nothing,
    AtstEmbedding: _nothing,
    M2dEmbedding: _nothing,
    PasstEmbedding: _nothing,
}
NAMED_FORMULAS: dict[str, Callable[[Any, Any, Any], int]] = {
    "efficient_sed.models.dcls_layer.SpacedConv2d": _spaced_convolution,
    "timm.layers.attention.Attention": _attention_products,
    "timm.models.vision_transformer.Attention": _attention_products,  # where older releases have it
    "timm.models.fastvit.Attention": _map_attention_products,
    "timm.models.fastvit.LayerScale2d": _nothing,
    "timm.models.convnext.ConvNeXtBlock": _nothing,  # its own weight is a scale
    "timm.models.metaformer.LayerNorm2dNoBias": _nothing,
    "timm.models.metaformer.Scale": _nothing,
    "timm.models.metaformer.StarReLU": _nothing,
    "timm.layers.norm.LayerNorm": _nothing,
    "timm.layers.norm.LayerNorm2d": _nothing,
    "timm.layers.norm_act.BatchNormAct2d": _nothing,
}
"""Of classes whose packages are imported only by the models that need them."""


_ADVICE = "add one to FORMULAS in efficient_sed/benchmark/macs.py"
_PRODUCT = re.compile(
    r"mm_?$|mv_?$|dot$|matmul|^linear$|einsum|^bilinear$|^_trilinear$|conv(olution|\d|_)|attention|gru|lstm|rnn|_fft_|stft|cdist"
)
"""Names of torch's operations that multiply tensors otherwise than element by element."""


def count_macs(model: SedModel, seconds: float = 10.0) -> MacsReport:
    """Run one clip through the model and add up the formulas. A compiled model is counted as it was before.

    Raises:
        TypeError: If it is no model.
        ConfigError: If the length is none, or a module that owns weights, or that multiplies tensors otherwise than through its children, has no formula; add one to `FORMULAS`.
    """
    require(isinstance(seconds, Real) and 0 < seconds < math.inf, "seconds", seconds, "a length above 0")
    model = getattr(model, "_orig_mod", model)
    if not isinstance(model, SedModel):
        advice = "make one by create_model(NAME, num_classes=N) or load_model(NAME)"
        raise TypeError(f"count_macs takes a SedModel, got {type(model).__name__}; {advice}")
    device = next(model.frontend.buffers()).device
    by_module = _count(
        model, lambda: model(model.frontend(torch.zeros(1, round(seconds * model.frontend.sample_rate), device=device)))
    )
    by_part = {part: sum(macs for name, macs in by_module.items() if name.split(".")[0] == part) for part in PARTS}
    return MacsReport(sum(by_part.values()) - by_part["frontend"], by_part, by_module, seconds)


def count_module_macs(module: nn.Module, *inputs: Tensor) -> int:
    """Add up the formulas of one module's forward pass.

    Raises:
        ConfigError: As `count_macs`.
    """
    return sum(_count(module, lambda: module(*inputs)).values())


def _count(model: nn.Module, run: Callable[[], object]) -> dict[str, int]:
    """MACs by the name of each module that has a formula, while something runs."""
    counter = _Counter()
    for name, module in model.named_modules():
        if _formula(module) is None and next(module.parameters(recurse=False), None) is not None:
            raise ConfigError(
                f"{name or 'the model'} ({type(module).__name__}) holds weights but count_macs has no formula for it: {_ADVICE}"
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
    return counter.by_module


def _formula(module: nn.Module) -> Callable[[Any, Any, Any], int] | None:
    cls = type(module)
    return FORMULAS.get(cls) or NAMED_FORMULAS.get(f"{cls.__module__}.{cls.__qualname__}")


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the formulas as modules are left, and refuses products that none of them answers for."""

    harmless: ClassVar[set[Any]] = set()
    """Operations that were found to hold no product."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.by_module: dict[str, int] = {}
        self.inside: list[tuple[str, nn.Module]] = []

    def watch(self, name: str, module: nn.Module) -> list[RemovableHandle]:
        """Hooks for before and after the module's forward pass."""

        def enter(module: nn.Module, inputs: Any) -> None:
            self.inside.append((name, module))

        def leave(module: nn.Module, inputs: Any, output: Any) -> None:
            self.inside.pop()
            if formula := _formula(module):
                self.by_module[name] = self.by_module.get(name, 0) + formula(module, inputs, output)

        return [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Called for every operation on tensors; those of modules with a formula pass unseen."""
        kwargs = kwargs or {}
        name, module = self.inside[-1] if self.inside else ("", None)
        if module is not None and _formula(module) in (None, _nothing):
            called = operation.overloadpacket.__name__
            if _PRODUCT.search(called) or operation.namespace not in ("aten", "prim"):
                raise ConfigError(
                    f"{name or 'the model'} ({type(module).__name__}) calls {called}, but count_macs has no formula that covers it: {_ADVICE}, or call a module that has one"
                )
            if operation not in self.harmless:
                with self:  # what is composed of other operations is taken apart, once
                    result = operation.decompose(*args, **kwargs)
                self.harmless.add(operation)
                if result is not NotImplemented:
                    return result
        return operation(*args, **kwargs)


def deepspeed_macs(model: SedModel, seconds: float = 10.0) -> int | None:
    """What DeepSpeed's profiler says of the model without its front end; none where it is not installed or, with a warning, fails.

    In a fresh process: after an exception its patches stay and double every later count. It counts nn.GRU as zero.
    """
    if importlib.util.find_spec("deepspeed") is None:
        return None
    from efficient_sed.models.weights.checkpoint import model_header

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
