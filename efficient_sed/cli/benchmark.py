"""`efficient-sed benchmark`: what models cost."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from efficient_sed.cli.benchmark_results import fill_results
from efficient_sed.cli.options import duration, engine_names, typed_path
from efficient_sed.cli.parser import Commands
from efficient_sed.cli.terminal import print_table
from efficient_sed.errors import ConfigError
from efficient_sed.inference.engines.contract import is_exported

KEYS = {
    "device": "device",
    "batches": "batch",
    "seconds": "seconds",
    "threads": "threads",
    "processes": "processes",
    "precision": "precision",
    "modes": "modes",
    "with_mel": "with_mel",
    "clock": "clock",
}
"""Options by the key `benchmark.KEY` that they set."""


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add(
        "benchmark",
        run,
        "Measure parameters, MACs, throughput, latency and memory of models.",
        examples=(
            "benchmark fmn04 fmn10+tf-256 --threads 1 --csv costs.csv",
            "benchmark 'fmn04*' --results benchmarks/results --budget 30m",
            "benchmark detector.onnx detector.int8.onnx --engine onnxruntime,openvino",
        ),
    )
    parser.set_defaults(option_of={f"benchmark.{key}": f"--{option}" for key, option in KEYS.items()})
    parser.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help="released name, file, hf:user/name, architecture such as fmn10+tf-256 (random weights, 447 classes), or "
        "exported model; with --results a pattern such as 'fmn04*' (default: every model)",
    )
    parser.add_argument("--device", metavar="D", help="cpu or gpu (default: a GPU if there is one)")
    parser.add_argument(
        "--precision", metavar="P[,P…]", help="fp32, bf16, fp16 (default: fp16 on a GPU, fp32 on a CPU)"
    )
    parser.add_argument(
        "--batch",
        metavar="N[,N…]",
        help="clips in a forward pass, and 1 besides for latency (default: 64 on a GPU, 4 on a CPU)",
    )
    parser.add_argument(
        "--modes", metavar="M[,M…]", help="eager, fused, compiled, graphed (GPU) (default: eager,fused)"
    )
    parser.add_argument("--threads", type=int, help="threads on a CPU, kept to as many cores")
    parser.add_argument("--processes", type=int, help="also measure so many processes of one thread at once")
    parser.add_argument(
        "--clock", metavar="C", help="wall, or with --threads 1 cpu: the time that the process computes (default: wall)"
    )
    parser.add_argument("--seconds", type=float, help="length of the clips (default: 10)")
    parser.add_argument("--with-mel", action="store_true", default=None, help="also measure from the waveform")
    parser.add_argument("--engine", metavar="E[,E…]", help=f"what runs exported models: {engine_names()}")
    parser.add_argument("--csv", type=typed_path, help="append one row per model to this file")
    parser.add_argument(
        "--results",
        type=typed_path,
        metavar="DIR",
        help="measure released and composable models, the cheapest first, into a CSV in this folder that is named by "
        "device, precision and torch's version; models that are in it are kept",
    )
    parser.add_argument(
        "--budget", type=duration, metavar="T", help="with --results: begin no further model after 90s, 30m, 2h …"
    )
    parser.add_argument("--json", action="store_true", help="print everything measured as JSON")


def run(options: argparse.Namespace) -> int:
    """Measure and print tables or JSON."""
    if options.budget is not None and options.results is None:
        raise ConfigError("--budget belongs to --results DIR")
    if options.results is not None:
        return fill_results(options)
    if not options.models:
        raise ConfigError("no MODEL given, such as fmn10+tf-256; --results DIR measures every model")
    exported = [name for name in options.models if is_exported(name)]
    if exported:
        return _run_exported(options, exported)
    if options.engine is not None:
        raise ConfigError(f"--engine {options.engine} runs exported models, and {options.models[0]} is none")
    from efficient_sed.cli.tables import complexity_table, speed_table
    from efficient_sed.config.benchmark import BenchmarkConfig
    from efficient_sed.config.parse import from_dict
    from efficient_sed.experiment.benchmark_csv import append_csv, read_benchmark_csv
    from efficient_sed.experiment.measure import benchmark_model

    config = from_dict(BenchmarkConfig, _typed(options), "benchmark")
    if options.csv:
        read_benchmark_csv(options.csv)  # a file that cannot be appended to is an error now, not after measuring
    records = [benchmark_model(name, config) for name in options.models]
    if options.csv:
        append_csv(options.csv, records)
    if options.json:
        print(json.dumps(records, indent=1))
    else:
        print_table(complexity_table(records))
        print_table(speed_table(records))
    return 0


def _typed(options: argparse.Namespace) -> dict[str, object]:
    """Values of `BenchmarkConfig` by their key, of the options that were typed."""
    values = {key: getattr(options, option) for key, option in KEYS.items()}
    for key in ("precision", "modes"):
        values[key] = values[key] and values[key].split(",")
    if options.batch is not None:
        values["batches"] = _numbers("--batch", options.batch)
    return {key: value for key, value in values.items() if value is not None}


def _numbers(option: str, text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise ConfigError(f"{option} {text or repr(text)}: not a list of whole numbers such as 1,8,64") from None


def _run_exported(options: argparse.Namespace, exported: Sequence[str]) -> int:
    """Measure exported models; works without PyTorch, so that a small board can."""
    from efficient_sed.benchmark.exported import benchmark_exported
    from efficient_sed.cli.exported_tables import exported_table

    if len(exported) < len(options.models):
        other = next(name for name in options.models if name not in exported)
        raise ConfigError(f"{exported[0]} is an exported model and {other} is none; measure them one after the other")
    for option in (*KEYS.values(), "csv"):
        if option != "threads" and getattr(options, option) is not None:
            raise ConfigError(
                f"--{option.replace('_', '-')} is not for exported models, which are measured one clip at a time "
                "as they are; --threads, --engine and --json are"
            )
    engines = options.engine.split(",") if options.engine else None
    num_threads = 1 if options.threads is None else options.threads
    records = benchmark_exported([Path(name) for name in exported], engines, num_threads)
    if options.json:
        print(json.dumps(records, indent=1))
    else:
        print_table(exported_table(records))
    return 0
