"""Multiply-accumulate operations, by formula per module.

Counted: convolutions, linear and recurrent layers, attention products, the front end's filter bank and Fourier transform. Not counted,
as everywhere: biases, norms, activations, element-wise gates. A module that holds weights and has no formula is an error, never zero.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import math
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from efficient_sed.audio.frontend import FFT_LENGTH, MEL_BINS, SAMPLE_RATE, WINDOW_LENGTH, LogMel
from efficient_sed.errors import ConfigError
from efficient_sed.models.sed import SedModel
from efficient_sed.models.sequence._blocks import GatedAttention, RMSNorm, RotaryEmbedding
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
    weight: Tensor = module.weight_v if isinstance(module, WeightNormConv) else module.weight  # type: ignore[assignment]
    return output[0, 0].numel() * weight.numel()


def _linear(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> int:
    weight: Tensor = module.weight  # type: ignore[assignment]
    return output[0, ..., 0].numel() * weight.numel()


def _gru(module: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> int:
    steps = inputs[0].shape[1]
    return steps * sum(weight.numel() for name, weight in module.named_parameters() if name.startswith("weight_"))


def _attention_products(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> int:
    _, T, D = inputs[0].shape
    return 2 * T * T * D  # queries by keys, weights by values; the projections are Linear modules of their own


def _state_products(module: Mamba2, inputs: tuple[Tensor, ...], output: Any) -> int:
    return 2 * inputs[0].shape[1] * module.inner * STATE_DIM  # into the state and out of it, each step


def _nothing(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> int:
    return 0


def _log_mel(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> int:
    samples, frames = inputs[0].shape[1], output.shape[-1]
    fourier = 2 * (FFT_LENGTH // 2) * int(math.log2(FFT_LENGTH))  # real input: half the butterflies, each four real multiplications
    return samples - 1 + frames * (WINDOW_LENGTH + fourier + 2 * (FFT_LENGTH // 2 + 1) + MEL_BINS * (FFT_LENGTH // 2 + 1))


FORMULAS: dict[type[nn.Module], Callable[[Any, Any, Any], int]] = {
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    WeightNormConv: _convolution,
    nn.Linear: _linear,
    nn.GRU: _gru,
    GatedAttention: _attention_products,
    HybridMixer: _attention_products,
    Mamba2: _state_products,
    LogMel: _log_mel,
    nn.BatchNorm2d: _nothing,
    nn.LayerNorm: _nothing,
    RMSNorm: _nothing,
    RotaryEmbedding: _nothing,
}


def count_macs(model: SedModel, seconds: float = 10.0) -> MacsReport:
    """Run one clip through the model and add up the formulas.

    Raises:
        ConfigError: If a module that owns weights has no formula; add one to `FORMULAS`.
    """
    by_module: dict[str, int] = {}
    hooks = []
    for name, module in model.named_modules():
        formula = FORMULAS.get(type(module))
        if formula is None:
            if next(module.parameters(recurse=False), None) is not None:
                raise ConfigError(f"{name} ({type(module).__name__}) holds weights but count_macs has no formula for it: add one to FORMULAS in efficient_sed/benchmark/macs.py")
            continue
        hooks.append(module.register_forward_hook(_counter(name, formula, by_module)))
    was_training = model.training
    try:
        model.eval()
        with torch.inference_mode():
            device = next(model.parameters()).device
            model(model.frontend(torch.zeros(1, round(seconds * SAMPLE_RATE), device=device)))
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    by_part = {part: sum(macs for name, macs in by_module.items() if name.split(".")[0] == part) for part in PARTS}
    return MacsReport(sum(by_part.values()) - by_part["frontend"], by_part, by_module, seconds)


def _counter(name: str, formula: Callable[[Any, Any, Any], int], by_module: dict[str, int]) -> Callable[[Any, Any, Any], None]:
    def count(module: nn.Module, inputs: Any, output: Any) -> None:
        by_module[name] = by_module.get(name, 0) + formula(module, inputs, output)

    return count


def deepspeed_macs(model: SedModel, seconds: float = 10.0) -> int | None:
    """What DeepSpeed's profiler says of the model without its front end; none where it is not installed or, with a warning, fails.

    In a fresh process: after an exception its patches stay and double every later count. It counts nn.GRU as zero.
    """
    if importlib.util.find_spec("deepspeed") is None:
        return None
    from efficient_sed.models._checkpoint import model_header

    done = subprocess.run([sys.executable, "-m", "efficient_sed.benchmark._deepspeed", json.dumps(model_header(model)), str(seconds)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        logger.warning("DeepSpeed's profiler failed, its MACs are left out: %s", (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1])
        return None
    return int(done.stdout.strip().splitlines()[-1])
