"""Time of fused models against plain eager PyTorch of the published architectures, from spectrogram to logits.

python benchmarks/inference.py [--models fmn10 fmn10+tf-256 …] [--batch 1 8 64] [--rounds 5] [--device cpu|cuda]

Ours is what `detect` and `evaluate` run: `es.fuse(model)`, on a CPU in small batches. Plain is the same network as
published: convolution, BatchNorm and activation one after the other on NCHW tensors, squeeze-excitation of two Linear
layers, nn.GRU, explicit attention, the minGRU in log space, and the whole batch at once. Both have the same weights and
take turns in one process on one thread. Time is CPU time of the process (on a GPU: between events, in float16); a ratio
is the median over rounds. The error is the largest difference of scores. The last column is the rate of
multiply-accumulates as a share of that of a large matrix product.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable

import torch
from textbook_heads import textbook
from torch import Tensor, nn
from torch.nn import functional as F

import efficient_sed as es
from efficient_sed.benchmark.clock import seconds_of
from efficient_sed.machine.environment import device_name
from efficient_sed.models.backbones.mobilenet_v3 import InvertedResidual, SqueezeExcitation
from efficient_sed.models.factory import settle_norms
from efficient_sed.models.sed import SedModel

MODELS = ("fmn10", "fmn10+tf-256", "fmn10+gru-256", "fmn10+hybrid-256")
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


def seconds(run: Callable[[], object], device: torch.device) -> float:
    """Time one call, in seconds."""
    if device.type == "cuda":
        return seconds_of(run, device)
    start = time.process_time()
    run()
    return time.process_time() - start


def peak_macs(device: torch.device, precision: torch.dtype) -> float:
    """Multiply-accumulates a second in a large product."""
    a, b = torch.randn(2, SIZE, SIZE, device=device, dtype=precision)
    times = [seconds(lambda: a @ b, device) for _ in range(6)]
    return float(SIZE**3) / min(times[1:])


@torch.inference_mode()
def measure(name: str, batch: int, rounds: int, device: torch.device, peak: float) -> None:
    """Measure one model at one batch size, and print its row."""
    torch.manual_seed(0)
    model = settle_norms(es.create_model(name, num_classes=447)).eval().to(device)
    plain, fused = Plain(model).eval(), es.fuse(model)
    mel = torch.randn(batch, 1, 128, 1000, device=device)
    with torch.autocast(device.type, torch.float16, enabled=device.type == "cuda"):
        error = (plain(mel[:2]).float().sigmoid() - fused(mel[:2]).frame_logits.float().sigmoid()).abs().max()
        pairs = []
        for repeat in range(rounds + (batch <= 8)):  # large batches need no warm-up of their own
            pair = seconds(lambda: fused(mel), device), seconds(lambda: plain(mel), device)
            pairs += [pair] if repeat or batch > 8 else []
    ours = statistics.median(mine for mine, _ in pairs) / batch
    ratio = statistics.median(other / mine for mine, other in pairs)
    share = es.count_macs(model).total / ours / peak
    print(
        f"| {name} | {batch} | {1e3 * ours * ratio:.1f} | {1e3 * ours:.1f} | {ratio:.2f} | {error:.0e} | "
        f"{100 * share:.0f} % |",
        flush=True,
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 8, 64])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(options.device)
    peak = peak_macs(device, torch.float16 if device.type == "cuda" else torch.float32)
    print(f"{device_name(device)}, torch {torch.__version__}, product of {SIZE} x {SIZE}: {peak / 1e9:.0f} GMAC/s\n")
    print("| model | batch | plain ms a clip | ours | ratio | error | of that product's speed |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for batch in options.batch:
        for name in options.models:
            measure(name, batch, max(1, options.rounds // (8 if batch > 8 else 1)), device, peak)


if __name__ == "__main__":
    main()
