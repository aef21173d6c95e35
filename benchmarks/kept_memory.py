"""Time and memory of a training step with and without keeping freed memory, on one thread.

python benchmarks/kept_memory.py [--models NAME …] [--batch N] [--seconds S] [--rounds N]

The setting (`efficient_sed/machine/allocator.py`) applies to a whole process, so each variant has its own; they take
turns. Time is CPU time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from multiprocessing.connection import Connection

import torch

from efficient_sed.benchmark.memory import peak_memory_mb
from efficient_sed.machine.allocator import keep_freed_memory
from efficient_sed.machine.environment import device_name
from efficient_sed.models.factory import create_model


def work(pipe: Connection, name: str, batch: int, seconds: float, is_kept: bool) -> None:
    """A training step for each message, answered by its CPU seconds; at the end the peak memory in MB."""
    torch.set_num_threads(1)
    if is_kept and not keep_freed_memory():
        raise SystemExit("this C library has no such setting")
    model = create_model(name, num_classes=16).train()
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    mel = torch.randn(
        batch, 1, model.frontend.mel_bins, round(seconds * model.frontend.sample_rate / model.grid.hop_length)
    )

    def step() -> None:
        optimizer.zero_grad()
        torch.autograd.backward(model(mel).frame_logits.square().mean())
        optimizer.step()

    while pipe.recv():
        start = time.process_time()
        step()
        pipe.send(time.process_time() - start)
    pipe.send(peak_memory_mb(step, torch.device("cpu")))


def measure(name: str, batch: int, seconds: float, rounds: int) -> None:
    """One row of the table."""
    context = multiprocessing.get_context("spawn")
    pipes = []
    for is_kept in (False, True):
        own, other = context.Pipe()
        context.Process(target=work, args=(other, name, batch, seconds, is_kept), daemon=True).start()
        pipes.append(own)
    times: list[tuple[float, ...]] = []
    for _ in range(rounds + 2):  # the first two fill the arena
        step = []
        for pipe in pipes:
            pipe.send(True)
            step.append(pipe.recv())
        times.append(tuple(step))
    peaks = []
    for pipe in pipes:
        pipe.send(False)
        peaks.append(pipe.recv())
    returned, kept = (statistics.median(column) for column in zip(*times[2:], strict=True))
    ratio = statistics.median(a / b for a, b in times[2:])
    print(
        f"| {name} | {batch} x {seconds:g} s | {returned:.2f} | {kept:.2f} | {ratio:.2f} | {peaks[0]:.0f} | "
        f"{peaks[1]:.0f} |",
        flush=True,
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["fmn04+gru-64", "fmn10+tf-256", "dnd-base", "dnd-dnd-k3-d1"])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=2.5)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"{device_name(torch.device('cpu'))}, torch {torch.__version__}; one thread\n")
    print(
        "| model | batch | s a step | kept | ratio | peak MB | kept |\n|---|---|---:|---:|---:|---:|---:|", flush=True
    )
    for name in options.models:
        measure(name, options.batch, options.seconds, options.rounds)


if __name__ == "__main__":
    main()
