"""Time of a training step by memory format and batch size, as ratios to plain NCHW.

python benchmarks/training_step.py [MODEL] [THREADS]

The variants take turns in one process.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from efficient_sed.machine.environment import device_name
from efficient_sed.models.factory import create_model

CLASSES, FRAMES, ROUNDS = 16, 500, 5  # clips of 5 s


def make_step(name: str, batch: int, memory_format: torch.memory_format) -> Callable[[], None]:
    """One forward and backward pass with Adam on a fixed random batch."""
    model = create_model(name, num_classes=CLASSES).train()
    model.backbone.to(memory_format=memory_format)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    mel, targets = torch.randn(batch, 1, 128, FRAMES), torch.rand(batch, CLASSES, FRAMES // 4).round()

    def step() -> None:
        loss = binary_cross_entropy_with_logits(model(mel).frame_logits, targets)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()

    return step


def main() -> None:
    """Run the command line."""
    name = sys.argv[1] if len(sys.argv) > 1 else "fmn10"
    torch.set_num_threads(int(sys.argv[2]) if len(sys.argv) > 2 else torch.get_num_threads())
    variants = {
        (fmt, batch): make_step(name, batch, getattr(torch, fmt))
        for batch in (16, 64)
        for fmt in ("contiguous_format", "channels_last")
    }
    seconds: dict[tuple[str, int], list[float]] = {variant: [] for variant in variants}
    for repeat in range(ROUNDS + 1):
        for variant, step in variants.items():
            start = time.perf_counter()
            step()
            if repeat:
                seconds[variant].append((time.perf_counter() - start) / variant[1])
    print(f"{name}, clips of {FRAMES / 100:g} s, {device_name(torch.device('cpu'))}, torch {torch.__version__}")
    print(f"{'memory format':20} {'batch':>5} {'ms a clip':>10} {'ratio':>6}")
    base = seconds["contiguous_format", 16]
    for (fmt, batch), values in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(base, values, strict=True))
        print(f"{fmt:20} {batch:5} {statistics.median(values) * 1e3:10.1f} {ratio:6.2f}")


if __name__ == "__main__":
    main()
