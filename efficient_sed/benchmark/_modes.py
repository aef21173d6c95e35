"""The forward pass of a model in each mode: as it is, fused, compiled, or as one CUDA graph."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from efficient_sed.benchmark.clock import WARM_UP
from efficient_sed.models.contracts import SedOutput
from efficient_sed.models.fuse import fuse
from efficient_sed.models.sed import SedModel

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
Forward = Callable[[Tensor], SedOutput]


class Variant(NamedTuple):
    """What takes turns at one precision."""

    mode: str
    is_autocast: bool
    """Whether half precision is autocast's choice by operation, with weights in float32."""


def create_forward(model: SedModel, variant: Variant, precision: str, mel: str, x: Tensor) -> Forward:
    """The forward pass of a mode.

    Args:
        model: In evaluation mode.
        variant: The mode.
        precision: A key of `DTYPES`.
        mel: Whether the front end is "inside" or "outside" the pass.
        x: An input; a CUDA graph is captured for its shape.

    Returns:
        Takes waveforms (batch, samples) or spectrograms (batch, 1, mel_bins, frames).
    """
    run = create_plain_forward(model, variant, precision, mel)
    return captured(run, x) if variant.mode == "graphed" else run


def create_plain_forward(model: SedModel, variant: Variant, precision: str, mel: str) -> Forward:
    """As `create_forward`, with the pass of a CUDA graph not yet captured."""
    mode, is_autocast = variant
    weights = torch.float32 if is_autocast else DTYPES[precision]
    inner: Any = model if mode == "eager" else fuse(model)
    if weights != torch.float32:
        inner = copy.deepcopy(inner)
        for part in (inner.backbone, inner.sequence, inner.classifier):
            part.to(weights)
    if mode == "compiled":
        inner = torch.compile(inner, dynamic=False, options={"freezing": True})

    def run(x: Tensor) -> SedOutput:
        casts = (
            torch.autocast(x.device.type, DTYPES[precision], cache_enabled=mode != "graphed")
            if is_autocast
            else contextlib.nullcontext()
        )
        with casts:
            output: SedOutput = inner((model.frontend(x) if mel == "inside" else x).to(weights))
        return output

    return run


def captured(run: Forward, x: Tensor) -> Forward:
    """Capture a forward pass as one CUDA graph, for inputs shaped like x; each call overwrites the output before."""
    static = x.clone()
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # libraries choose their kernels before, not in, the capture
        for _ in range(WARM_UP):
            run(static)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = run(static)

    def replay(x: Tensor) -> SedOutput:
        static.copy_(x)
        graph.replay()
        return output

    return replay
