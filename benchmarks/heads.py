"""Time and error of each sequence head against its textbook form.

python benchmarks/heads.py [--heads tf hybrid] [--hidden 128 256 1024] [--batch 1 8] [--rounds 5] [--threads 1]
    [--device cpu]

Time is measured forward alone and with the backward pass; the error is against float64. Both take turns in one process.
Time is CPU time of the process (on a GPU: wall time between synchronisations); a ratio is the median over rounds. The
textbook forms: a log-space scan for minGRUs, a loop over the steps for GRU and Mamba, explicit attention, padding on
both sides for the TCN, columns for the dilated convolution.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from textbook_heads import mingru_log_space, mingru_loop, textbook
from torch import Tensor

from efficient_sed.machine.environment import device_name
from efficient_sed.models.contracts import SequenceHead
from efficient_sed.models.sequence.mingru import mingru_states
from efficient_sed.registry import SEQUENCE_HEADS

IN_DIM, STEPS = 960, 250  # fmn10's features of a 10 s clip
Forward = Callable[[Tensor], Tensor]


def clock(device: torch.device) -> float:
    """Seconds, to be subtracted."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def forward_only(forward: Forward, x: Tensor) -> None:
    """Run a forward pass without gradients."""
    with torch.inference_mode():
        forward(x)


def forward_and_backward(forward: Forward, x: Tensor) -> None:
    """Run a forward and a backward pass."""
    torch.autograd.backward(forward(x.detach().requires_grad_()).square().mean())


def compare(
    ours: Forward, theirs: Forward, x: Tensor, run: Callable[[Forward, Tensor], None], rounds: int
) -> tuple[float, float]:
    """Milliseconds of ours, and how many times as long theirs takes; the first round warms up."""
    seconds: list[tuple[float, float]] = []
    for repeat in range(rounds + 1):
        pair = []
        for forward in (ours, theirs):
            start = clock(x.device)
            run(forward, x)
            pair.append(clock(x.device) - start)
        if repeat:
            seconds.append((pair[0], pair[1]))
    return 1e3 * statistics.median(mine for mine, _ in seconds), statistics.median(
        other / mine for mine, other in seconds
    )


def error(output: Tensor, exact: Tensor) -> float:
    """Largest difference, relative to the largest value."""
    return float((output.cpu().double() - exact).abs().max() / exact.abs().max())


def print_row(
    name: str,
    hidden: int,
    batch: int,
    ours: Forward,
    theirs: Forward,
    x: Tensor,
    rounds: int,
    errors: tuple[float, float],
) -> None:
    """Print a row of the table."""
    forward_ms, forward_ratio = compare(ours, theirs, x, forward_only, rounds)
    both_ms, both_ratio = compare(ours, theirs, x, forward_and_backward, rounds)
    print(
        f"| {name} | {hidden} | {batch} | {forward_ms:.1f} | {forward_ratio:.2f} | {both_ms:.1f} | "
        f"{both_ratio:.2f} | {errors[0]:.0e} | {errors[1]:.0e} |",
        flush=True,
    )


def measure_scan(width: int, batch: int, rounds: int, device: torch.device) -> None:
    """The minGRU's recurrence alone, from its pre-activations."""
    x = 2 * torch.randn(batch, STEPS, 2 * width, device=device)

    def log_space(x: Tensor) -> Tensor:
        return mingru_log_space(*x.chunk(2, -1))

    exact = mingru_loop(*x.cpu().double().chunk(2, -1))
    errors = error(mingru_states(x), exact), error(log_space(x), exact)
    print_row("minGRU scan", width, batch, mingru_states, log_space, x, rounds, errors)


def measure_head(name: str, hidden: int, batch: int, rounds: int, device: torch.device) -> None:
    """Measure one head against its textbook form, and print its row."""
    torch.manual_seed(0)
    head: SequenceHead = SEQUENCE_HEADS.get(name)(hidden=hidden).build(IN_DIM).eval()
    x = torch.randn(batch, STEPS, IN_DIM)
    with torch.inference_mode():
        outputs = head(x[:1]), textbook(head, x[:1], use_log_space=True)
        exact = textbook(head.double(), x[:1].double())
    head.float().to(device)
    errors = error(outputs[0], exact), error(outputs[1], exact)
    print_row(name, hidden, batch, head, lambda x: textbook(head, x, use_log_space=True), x.to(device), rounds, errors)


def main() -> None:
    """Run the command line."""
    heads = [name for name in SEQUENCE_HEADS.names() if name != "none"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heads", nargs="+", choices=heads, default=heads)
    parser.add_argument("--hidden", nargs="+", type=int, default=[128, 256, 1024])
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    print(
        f"{device_name(device)}, torch {torch.__version__}, threads {options.threads}, features ({IN_DIM}) of "
        f"{STEPS} steps\n"
    )
    print("| head | hidden | batch | forward ms | ratio | with backward ms | ratio | error | textbook's error |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for batch in options.batch:
        measure_scan(512, batch, options.rounds, device)
    for name in options.heads:
        for hidden in options.hidden:
            for batch in options.batch:
                measure_head(name, hidden, batch, options.rounds, device)


if __name__ == "__main__":
    main()
