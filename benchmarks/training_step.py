"""Time of a training step against plain PyTorch, model by model, with frozen and with live BatchNorm.

python benchmarks/training_step.py [--models NAME …] [--batch 16] [--seconds 10] [--threads N] [--rounds 5]

Plain: the same weights in NCHW, convolution, BatchNorm and activation one after the other, torch's dropout and its
attention, unfused Adam, and BatchNorm frozen by `eval()`. Ours: what `efficient-sed train` runs, in "preset" with
train.is_batchnorm_frozen and the stages frozen that `experiment=finetune` freezes, in "live" with neither. Heads are
ours on both sides but for their dropout; `heads.py` compares them with their textbook forms. Both take turns in one
process; a ratio is the median over rounds of wall times.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import statistics
import time
from collections.abc import Callable
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from efficient_sed.config.training import TrainConfig
from efficient_sed.experiment.compose import compose_run
from efficient_sed.machine.allocator import keep_freed_memory
from efficient_sed.machine.environment import device_name
from efficient_sed.models.conv_norm import ConvNormAct
from efficient_sed.models.dropout import Dropout
from efficient_sed.models.factory import create_model
from efficient_sed.models.sed import SedModel
from efficient_sed.models.sequence import blocks
from efficient_sed.training.frozen_stages import FrozenStages
from efficient_sed.training.optim import build_optimizer

CLASSES, FRAMES_PER_S, WARM_UP = 16, 100, 3  # the first steps fill the allocator's memory
HEADS = ("", "+tf-256", "+gru-256", "+hybrid-256", "+mamba-256")


def plain_attention(q: Tensor, k: Tensor, v: Tensor, rate: float) -> Tensor:
    """Attention by torch's own function."""
    return F.scaled_dot_product_attention(q, k, v, dropout_p=rate)


PLAIN = (
    (ConvNormAct, "forward", nn.Sequential.forward),
    (Dropout, "forward", nn.Dropout.forward),
    (blocks, "attend", plain_attention),
    (blocks, "dropout", F.dropout),
)


def freeze_norms(model: SedModel) -> None:
    """As the training does with train.is_batchnorm_frozen."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def make_step(
    model: SedModel, mel: Tensor, targets: Tensor, num_frozen: int | None, *, is_plain: bool
) -> Callable[[], None]:
    """A step of Adam from the spectrogram on; `num_frozen` stages and BatchNorm frozen, None for neither."""
    model = copy.deepcopy(model).train()
    if is_plain:
        model.backbone.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        optimizer: torch.optim.Optimizer = torch.optim.Adam(model.parameters(), foreach=False)
    else:
        frozen = FrozenStages(model.backbone, num_frozen or 0)
        frozen.eval()
        frozen.start()
        optimizer, _ = build_optimizer(model, TrainConfig(), total_steps=1000)
    if num_frozen is not None:
        freeze_norms(model)

    def step() -> None:
        with contextlib.ExitStack() as stack:
            for owner, name, function in PLAIN if is_plain else ():
                stack.enter_context(patch.object(owner, name, function))
            loss = F.binary_cross_entropy_with_logits(model(mel).frame_logits, targets)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()

    return step


def measure(name: str, batch: int, seconds: float, rounds: int) -> None:
    """Print the rows of one model."""
    model = create_model(name, num_classes=CLASSES)
    frames = round(seconds * FRAMES_PER_S)
    mel, targets = torch.randn(batch, 1, 128, frames), torch.rand(batch, CLASSES, frames // 4).round()
    preset = compose_run(["experiment=finetune"]).train
    for label, num_frozen in (("preset", preset.frozen_stages), ("live", None)):
        steps = [make_step(model, mel, targets, num_frozen, is_plain=is_plain) for is_plain in (False, True)]
        times: list[list[float]] = []
        for _ in range(WARM_UP + rounds):
            pair = []
            for step in steps:
                start = time.perf_counter()
                step()
                pair.append((time.perf_counter() - start) / batch)
            times.append(pair)
        ours, plain = (statistics.median(column) * 1e3 for column in zip(*times[WARM_UP:], strict=True))
        ratio = statistics.median(theirs / mine for mine, theirs in times[WARM_UP:])
        print(f"| {name} | {label} | {ours:.1f} | {plain:.1f} | {ratio:.2f} |", flush=True)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=[f"{b}{h}" for b in ("fmn04", "fmn10", "fmn20") for h in HEADS])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a clip")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    device = device_name(torch.device("cpu"))
    clips = f"batch {options.batch}, clips of {options.seconds:g} s"
    print(f"{device}, torch {torch.__version__}, threads {options.threads}, {clips}\n")
    print("| model | BatchNorm | ms a clip | plain | ratio |\n|---|---|---:|---:|---:|")
    for name in options.models:
        measure(name, options.batch, options.seconds, options.rounds)


if __name__ == "__main__":
    main()
