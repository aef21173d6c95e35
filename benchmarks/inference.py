"""Time of fused models and of engines for exported ones against plain eager PyTorch, from spectrogram to frame scores.

python benchmarks/inference.py [--models fmn10 fmn10+tf-256 …] [--batch 1 8 64] [--rounds 5] [--threads 1]
    [--engines onnxruntime openvino] [--device cpu|cuda]

Fused is what `detect` and `evaluate` run in PyTorch: `es.fuse(model)`, on a CPU in small batches. Engines get the
exported network clip by clip, as `ExportedModel` does. Plain is the same network as published: convolution, BatchNorm
and activation one after the other on NCHW tensors, squeeze-excitation of two Linear layers, nn.GRU, explicit attention,
the minGRU in log space, and the whole batch at once. All have the same weights (those trained on synthetic sounds where
a backbone has some) and take turns in one process. Time on one thread is CPU time of the process, on several wall time
(on a GPU: between events, in float16); a ratio is the median over rounds. The error is the largest difference of scores
from plain. Shares are of the rate of multiply-accumulates of a large matrix product, by MKL or by oneDNN, whichever is
faster here.

ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 holds PyTorch and OpenVINO down to AVX2;
nothing holds onnxruntime down.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import functools
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from textbook_heads import textbook
from torch import Tensor, nn
from torch.nn import functional as F

import efficient_sed as es
from efficient_sed.benchmark.clock import seconds_of
from efficient_sed.errors import CheckpointError
from efficient_sed.export.write import build_file, create_target
from efficient_sed.inference.engines.contract import Engine, exact_engines, open_engine
from efficient_sed.machine.allocator import keep_freed_memory
from efficient_sed.machine.environment import device_name, package_version
from efficient_sed.models.backbones.mobilenet_v3 import InvertedResidual, SqueezeExcitation
from efficient_sed.models.factory import settle_norms
from efficient_sed.models.fuse import HAS_ONEDNN
from efficient_sed.models.sed import SedModel
from efficient_sed.models.weights.cards import list_cards
from efficient_sed.models.weights.initial import load_initial
from efficient_sed.registry import ENGINES

MODELS = ("fmn04", "fmn10", "fmn20", "fmn10+tf-256", "fmn10+gru-256", "fmn10+hybrid-256")
SIZE = 2048  # of the product that measures what the machine can do


class PlainBlock(nn.Module):
    """The inverted residual layer by layer."""

    def __init__(self, block: InvertedResidual) -> None:
        super().__init__()
        self.layers, self.has_shortcut = block.block, block.has_shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Run the textbook form."""
        y = x
        for layer in self.layers:
            if isinstance(layer, SqueezeExcitation):
                gate = torch.sigmoid(
                    F.linear(
                        F.relu(F.linear(y.mean((2, 3)), layer.fc1.weight, layer.fc1.bias)),
                        layer.fc2.weight,
                        layer.fc2.bias,
                    )
                )
                y = y * gate[:, :, None, None]
            else:
                y = layer(y)
        return x + y if self.has_shortcut else y


class Plain(nn.Module):
    """The published network, from spectrogram (batch, 1, 128, frames) to frame logits (batch, classes, steps)."""

    def __init__(self, model: SedModel) -> None:
        super().__init__()
        model = copy.deepcopy(model).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        self.features = nn.Sequential(
            *(PlainBlock(layer) if isinstance(layer, InvertedResidual) else layer for layer in model.backbone.stages())
        )
        self.head, self.classifier = model.sequence, model.classifier

    def forward(self, mel: Tensor) -> Tensor:
        """Run the textbook form."""
        features = self.features(mel).squeeze(2).transpose(1, 2)
        is_gru = hasattr(self.head, "gru")  # a loop over its steps would be slower than what was published
        steps: Tensor = self.head(features) if is_gru else textbook(self.head, features, use_log_space=True)
        logits: Tensor = self.classifier(steps).frame_logits
        return logits


class Clock:
    """How calls are timed: on a device, or by a number of threads."""

    def __init__(self, device: torch.device, threads: int) -> None:
        self.device, self.threads = device, threads

    def seconds(self, run: Callable[[], object]) -> float:
        """Time one call."""
        if self.device.type == "cuda":
            return seconds_of(run, self.device)
        now = time.process_time if self.threads == 1 else time.perf_counter
        start = now()
        run()
        return now() - start


def peak_macs(clock: Clock) -> dict[str, float]:
    """Multiply-accumulates a second in a large product, by the library that computes it."""
    precision = torch.float16 if clock.device.type == "cuda" else torch.float32
    a, b = torch.randn(2, SIZE, SIZE, device=clock.device, dtype=precision)
    products: dict[str, Callable[[], object]] = {"torch": lambda: a @ b}
    if HAS_ONEDNN and clock.device.type == "cpu":
        packed = torch.ops.mkldnn._reorder_linear_weight(b, SIZE)
        products["oneDNN"] = lambda: torch.ops.mkldnn._linear_pointwise(a, packed, None, "none", [], "")
    return {name: SIZE**3 / min([clock.seconds(run) for _ in range(6)][1:]) for name, run in products.items()}


def create(name: str, device: torch.device) -> SedModel:
    """A model with random weights but for a backbone that was trained on synthetic sounds."""
    torch.manual_seed(0)
    model = settle_norms(es.create_model(name, num_classes=447)).eval()
    if f"{model.spec.backbone.name}_synthetic" in list_cards():
        load_initial(model.backbone, dataclasses.replace(model.spec.backbone, init="synthetic"))
    return model.to(device)


def open_engines(model: SedModel, name: str, engines: Sequence[str], threads: int) -> dict[str, Engine]:
    """The network in engines; none where it cannot be exported."""
    try:
        _, content, _ = build_file(model, name, create_target("onnx"), "mel")
    except CheckpointError as error:
        print(error)
        return {}
    return {engine: open_engine(content, threads, engine) for engine in engines}


@functools.lru_cache(maxsize=1)
def prepare(name: str, clock: Clock, engines: tuple[str, ...]) -> tuple[SedModel, Plain, SedModel, dict[str, Engine]]:
    """All forms of a model."""
    model = create(name, clock.device)
    return model, Plain(model).eval(), es.fuse(model), open_engines(model, name, engines, clock.threads)


def by_clip(engine: Engine, mel: Tensor) -> Tensor:
    """Frame scores as `ExportedModel` computes them."""
    clips = np.split(mel.numpy(), len(mel))
    return torch.from_numpy(np.concatenate([engine.run(["frame_scores"], {"mel": clip})[0] for clip in clips]))


@torch.inference_mode()
def measure(name: str, batch: int, rounds: int, clock: Clock, peak: float, engines: tuple[str, ...]) -> None:
    """Measure one model at one batch size, and print its row."""
    model, plain, fused, opened = prepare(name, clock, engines)
    mel = torch.randn(batch, 1, 128, 1000, device=clock.device)
    sides: dict[str, Callable[[], Tensor]] = {
        "plain": lambda: plain(mel).float().sigmoid(),
        "fused": lambda: fused(mel).frame_logits.float().sigmoid(),
        **{side: functools.partial(by_clip, engine, mel) for side, engine in opened.items()},
    }
    with torch.autocast(clock.device.type, torch.float16, enabled=clock.device.type == "cuda"):
        errors = {side: float((sides["plain"]() - run()).abs().max()) for side, run in sides.items()}
        times = [{side: clock.seconds(run) for side, run in sides.items()} for _ in range(rounds)]
    macs = es.count_macs(model).total
    cells = [name, str(batch)]
    for side in ("plain", "fused", *engines):
        if side not in sides:
            cells += ["", ""]
            continue
        milliseconds = 1e3 * statistics.median(turn[side] for turn in times) / batch
        ratio = statistics.median(turn["plain"] / turn[side] for turn in times)
        share = macs / milliseconds * 1e3 / peak
        cells += [f"{milliseconds:.1f}", f"{ratio:.2f}, {errors[side]:.0e}, {100 * share:.0f} %"]
    cells += [f"{statistics.median(turn['fused'] / turn[side] for turn in times):.2f}" for side in opened]
    print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Run the command line."""
    exact = exact_engines(create_target("onnx").suffix)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 8, 64])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--engines", nargs="*", choices=exact, default=exact, help="on a CPU")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()  # as the command line does
    clock = Clock(torch.device(options.device), options.threads)
    engines = tuple(options.engines) if clock.device.type == "cpu" else ()
    peaks = peak_macs(clock)
    packages = ["torch", *(ENGINES.get(engine).package for engine in engines)]
    versions = ", ".join(f"{package} {package_version(package)}" for package in packages)
    rates = ", ".join(f"{rate / 1e9:.0f} GMAC/s by {name}" for name, rate in peaks.items())
    print(f"{device_name(clock.device)}, {versions}; product of {SIZE} x {SIZE}: {rates}\n")
    columns = ["model", "batch"]
    for side in ("plain", "fused", *engines):
        columns += [f"{side} ms a clip", "ratio, error, share"]
    columns += [f"fused / {engine}" for engine in engines]
    print(f"| {' | '.join(columns)} |\n|---|{'---:|' * (len(columns) - 1)}")
    for name in options.models:
        for batch in options.batch:
            rounds = max(1, options.rounds // (8 if batch > 8 else 1))
            measure(name, batch, rounds, clock, max(peaks.values()), engines)


if __name__ == "__main__":
    main()
