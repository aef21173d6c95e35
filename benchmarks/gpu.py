"""Everything about a GPU of NVIDIA in one call of at most eight minutes.

python benchmarks/gpu.py [--csv FILE] [--seconds 480] [--models fmn10 fmn10+tf-256 …] [--batch 64 1 8]
    [--precision fp16 bf16] [--sections chip inference …] [--training fmn10+tf-256] [--training-batch 64]
    [--cudnn-search] [--device cuda|cpu]

Modes of a model take turns in one process; speed and energy are those of blocks of passes that follow one another, a
ratio is the median over blocks, and milliseconds are those of a pass that is waited for. `plain` is the published
network layer by layer in NCHW (`inference.py`), `eager` our model as it is, `fused` what `detect` runs, `graphed` that
as a CUDA graph, `compiled` that by torch.compile. They go from spectrogram to logits, with weights in half precision;
the error is the largest difference of scores from float32. Shares are of a large copy and of a large product, measured
first; the bytes of a pass are what layers with weights, fused, read and write once. A training step goes from waveform
to Adam, under autocast to bfloat16.

Each section has its share of the time: what no longer fits is named below its table, and what fails is a row of it.
What cuDNN's search for kernels gains takes a second call, with --cudnn-search: a process keeps its choice for a shape.
`--device cpu` runs the same code in float32, without CUDA graphs and compilation.
"""

from __future__ import annotations

import argparse
import functools
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from gpu_section import BLOCK_S, BLOCKS, ENDS, Machine, Section, joules, ratio, share
from gpu_training import COMPILED, STEPS, run_loader, run_training
from inference import Plain
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

import efficient_sed as es
from efficient_sed.benchmark._modes import DTYPES, Variant, captured, create_forward
from efficient_sed.benchmark._sensors import Sensors
from efficient_sed.benchmark.clock import seconds_of, summarise
from efficient_sed.benchmark.float32 import exact_float32
from efficient_sed.benchmark.speed import COMPARED, time_modes
from efficient_sed.frontier.published import read_published_models
from efficient_sed.machine.environment import describe_environment
from efficient_sed.models.factory import settle_norms
from efficient_sed.models.sed import SedModel

MODELS = ("fmn10", "fmn10+tf-256", "fmn04", "fmn10+gru-256", "fmn10+hybrid-256", "fmn20+tf-512")  # by importance
MODES = {"inference": ("plain", "eager", "fused", "graphed"), "compiled": ("plain", "compiled", "compiled, graphed")}
SKIPPED = {("cpu", "compiled"), ("cpu", "compiled training")}
COPY_MB, SIZE = {"cuda": 1024, "cpu": 64}, {"cuda": 8192, "cpu": 1024}
REPEATS, FRAMES = 10, 1000  # single passes; clips of 10 s


def measure_copy(section: Section) -> None:
    """The row of a large copy."""
    device = section.machine.device
    num_bytes = COPY_MB[device.type] * 2**20
    source, target = (torch.zeros(num_bytes, dtype=torch.uint8, device=device) for _ in range(2))
    rate = 2 * num_bytes / min(seconds_of(lambda: target.copy_(source), device, 10) for _ in range(5))
    section.machine.bytes_per_s = rate
    section.row(f"copy of {COPY_MB[device.type]} MB", f"{rate / 1e9:.1f}", "GB/s, read and written")


def measure_product(section: Section, precision: str) -> None:
    """The row of a large matrix product."""
    device = section.machine.device
    size = SIZE[device.type]
    a, b = torch.randn(2, size, size, device=device).to(DTYPES[precision])
    rate = size**3 / min(seconds_of(lambda: a @ b, device, 5) for _ in range(5))
    section.machine.macs_per_s[precision] = rate
    section.row(f"product of {size} x {size}, {precision}", f"{2 * rate / 1e12:.2f}", "TFLOP/s")


@functools.cache
@torch.inference_mode(False)
def load(name: str, device: torch.device) -> SedModel:
    """A model with random weights, on a device."""
    torch.manual_seed(0)
    return settle_norms(es.create_model(name, num_classes=447)).eval().requires_grad_(False).to(device)


@functools.cache
def count(name: str) -> tuple[int, int, int]:
    """Multiply-accumulates of a clip, values that layers with weights read and write for it, and their weights.

    Counted on the CPU, so that nothing is lost where a GPU lacks something.
    """
    model, sizes = load(name, torch.device("cpu")), list[int]()
    fused = es.fuse(model)

    def add(_: nn.Module, inputs: object, output: object) -> None:
        sizes.extend(leaf.numel() for leaf in tree_leaves((inputs, output)) if isinstance(leaf, Tensor))

    for module in fused.modules():
        if next(module.parameters(recurse=False), None) is not None:
            module.register_forward_hook(add)
    fused(torch.zeros(1, 1, 128, FRAMES))
    return es.count_macs(model).total, sum(sizes), sum(parameter.numel() for parameter in fused.parameters())


@functools.cache
def published() -> dict[str, float]:
    """Clips a second on the paper's RTX 3090 in fp16, by model."""
    rows = read_published_models("efficientsed_audioset_strong")
    return {row.model: row.complexity["throughput_clips_s"] for row in rows}


def create_run(model: SedModel, mode: str, precision: str, x: Tensor, others: dict[str, Any]) -> Callable[..., Any]:
    """The forward pass of a mode; a compiled one that is there already is captured, not compiled again."""
    if mode == "plain":
        return Plain(model).eval().to(DTYPES[precision])
    if mode == "compiled, graphed":
        return captured(others["compiled"], x)
    if mode == "compiled":
        torch.compiler.reset()  # the limit of graphs counts those of all models of this process
    return create_forward(model, Variant(mode, False), precision, "outside", x)


def logits_of(output: Any) -> Tensor:
    """Of a model, or of its plain form."""
    logits: Tensor = output if isinstance(output, Tensor) else output.frame_logits
    return logits


@torch.inference_mode()
def measure_model(section: Section, name: str, precision: str, batch: int, modes: Sequence[str]) -> None:
    """Rows of a model at one precision and batch."""
    machine = section.machine
    model, generator = load(name, machine.device), torch.Generator().manual_seed(0)
    x = torch.randn(batch, 1, 128, FRAMES, generator=generator).to(machine.device)
    reference = logits_of(model(x[:COMPARED])).sigmoid()
    x = x.to(DTYPES[precision])  # so that no mode converts it
    runs: dict[str, Callable[..., Any]] = {}
    errors: dict[str, float] = {}
    for mode in modes:
        try:
            run = create_run(model, mode, precision, x, runs)
            errors[mode] = float((logits_of(run(x))[:COMPARED].float().sigmoid() - reference).abs().max())
            runs[mode] = run
        except Exception as error:  # another mode may run
            section.failed(error, name, precision, str(batch), mode)
    times = time_modes({mode: partial(run, x) for mode, run in runs.items()}, REPEATS, machine.sensors, BLOCKS, BLOCK_S)
    macs, values, weights = count(name)
    num_bytes = DTYPES[precision].itemsize * (values + weights / batch)
    for mode, each in times.items():
        pace = summarise(each.latencies, batch, each.paces)
        section.row(
            name, precision, str(batch), mode, f"{pace.clips_per_s:.1f}", ratio(times.get("plain"), each),
            f"{pace.latency_ms:.2f}", joules(each, batch), share(pace.clips_per_s * num_bytes, machine.bytes_per_s),
            share(pace.clips_per_s * macs, machine.macs_per_s.get(precision)), f"{errors[mode]:.0e}",
            f"{published()[name]:.0f}" if name in published() else "-",
        )  # fmt: skip


def run_section(section: Section, options: argparse.Namespace) -> None:
    """Measure what a section consists of, the most important first."""
    if section.name == "chip":
        section.measure(partial(measure_copy, section), "copy")
        for precision in options.precision:
            section.measure(partial(measure_product, section, precision), f"product, {precision}")
    elif section.name in ("training", "compiled training"):
        steps = STEPS if section.name == "training" else COMPILED
        run_training(section, steps, options.training, options.training_batch)
    elif section.name == "loader":
        section.measure(partial(run_loader, section, options.training_batch), "clips")
    else:
        is_gpu = section.machine.device.type == "cuda"
        modes = [mode for mode in MODES[section.name] if is_gpu or mode in ("plain", "eager", "fused")]
        for precision in options.precision:
            for batch in options.batch:
                for name in options.models:
                    measure = partial(measure_model, section, name, precision, batch, modes)
                    section.measure(measure, name, precision, str(batch))
    section.close()


def print_header(machine: Machine) -> None:
    """Where the tables come from."""
    about = machine.about
    versions = describe_environment(about["device"])["versions"]
    state = machine.sensors.conditions()
    print(f"`{shlex.join(['python', *sys.argv])}`\n")
    print(f"{about['device']}; commit {about['commit']}")
    print("; ".join(f"{name} {value}" for name, value in {**state, **versions}.items() if value is not None))
    for name, reason in machine.sensors.missing.items():
        print(f"no {name}: {reason}")


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Options, with the defaults of the device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--seconds", type=float, default=480, help="for all sections together")
    parser.add_argument("--csv", type=Path, help="file that all rows are appended to")
    parser.add_argument("--sections", nargs="+", choices=ENDS, default=list(ENDS))
    parser.add_argument("--models", nargs="+", help=f"default on a GPU: {' '.join(MODELS)}; on a CPU the first")
    parser.add_argument("--batch", nargs="+", type=int, help="default on a GPU: 64 1 8; on a CPU: 1")
    parser.add_argument("--precision", nargs="+", choices=DTYPES, help="default on a GPU: fp16 bf16; on a CPU: fp32")
    parser.add_argument("--training", default="fmn10+tf-256", help="model of the training step")
    parser.add_argument("--training-batch", type=int, help="default on a GPU: 64; on a CPU: 4")
    parser.add_argument("--cudnn-search", action="store_true", help="let cuDNN try all kernels for each shape")
    options = parser.parse_args(words)
    is_gpu = options.device == "cuda"
    options.models = options.models or (MODELS if is_gpu else MODELS[:1])
    options.batch = options.batch or ((64, 1, 8) if is_gpu else (1,))
    options.precision = options.precision or (("fp16", "bf16") if is_gpu else ("fp32",))
    options.training_batch = options.training_batch or (64 if is_gpu else 4)
    return options


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = parse(words)
    if options.device == "cuda" and not torch.cuda.is_available():
        reason = "this machine has no GPU of NVIDIA that torch can use; give --device cpu for the same code on a CPU"
        print(f"--device cuda is not allowed: {reason}", file=sys.stderr)
        return 2
    begun, device = time.perf_counter(), torch.device(options.device, 0)
    machine = Machine(device, Sensors(device))
    torch.backends.cudnn.benchmark = options.cudnn_search
    print_header(machine)
    with exact_float32():
        for name in (name for name in ENDS if name in options.sections and (options.device, name) not in SKIPPED):
            section = Section(name, machine, begun + ENDS[name] * options.seconds, begun + options.seconds, options.csv)
            run_section(section, options)
    print(f"\n{time.perf_counter() - begun:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
