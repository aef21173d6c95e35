"""`efficient-sed benchmark` and `efficient-sed plot`: what models cost, and the frontier between scores and costs."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from efficient_sed.cli.terminal import print_table
from efficient_sed.errors import ConfigError
from efficient_sed.inference.engines import DEFAULT_ENGINE, ENGINES, EXPORTED_SUFFIX

FILE_ENDING = re.compile(r"\.[a-z]{1,4}\d?", re.IGNORECASE)  # that of v1.2 is none


def add_costs(add: Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]) -> None:
    """The commands about costs, and scores against them."""
    benchmark = add("benchmark", run_benchmark, "Measure parameters, MACs, throughput, latency and memory of a model.")
    benchmark.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="released name, file, or architecture such as fmn10+tf-256 (random weights, 447 classes), or exported model (.onnx)",
    )
    options = {
        "device": "--device",
        "batches": "--batch",
        "seconds": "--seconds",
        "threads": "--threads",
        "processes": "--processes",
        "precision": "--precision",
        "modes": "--modes",
    }
    benchmark.set_defaults(option_of={f"benchmark.{key}": option for key, option in options.items()})
    benchmark.add_argument("--device", metavar="D", help="cpu or gpu; default: a GPU if there is one")
    benchmark.add_argument(
        "--precision", metavar="P[,P…]", help="fp32, bf16, fp16; default: fp16 on a GPU, fp32 on a CPU"
    )
    benchmark.add_argument(
        "--batch", metavar="N[,N…]", help="clips per pass, 1 beside them for latency; default: 64 on a GPU, 4 on a CPU"
    )
    benchmark.add_argument(
        "--modes", metavar="M[,M…]", help="eager, fused, compiled, graphed (GPU); default: eager,fused"
    )
    benchmark.add_argument("--threads", type=int, help="threads on a CPU, kept to as many cores")
    benchmark.add_argument("--processes", type=int, help="measure that many processes of one thread together, too")
    benchmark.add_argument("--seconds", type=float, help="length of the clips; default: 10")
    benchmark.add_argument("--with-mel", action="store_true", default=None, help="measure from the waveform, too")
    benchmark.add_argument(
        "--engine", metavar="E[,E…]", help=f"of exported models: {', '.join(ENGINES)} (default: {DEFAULT_ENGINE})"
    )
    benchmark.add_argument("--csv", type=Path, help="append one row per model to this file")
    benchmark.add_argument("--json", action="store_true", help="print everything measured as JSON")

    plot = add("plot", run_plot, "Draw the performance-complexity frontier of finished runs, and print it as a table.")
    drawn = plot.add_mutually_exclusive_group()
    drawn.add_argument("runs", nargs="?", type=Path, default=Path("runs"), help="folder with finished runs")
    drawn.add_argument(
        "--published",
        action="store_true",
        help="draw published models alone, with their MACs as published and as we count them; needs no runs",
    )
    plot.add_argument(
        "--output",
        type=Path,
        default=Path("plots/frontier.png"),
        help="PNG; an SVG, an interactive page (HTML) and, of runs, a CSV are written beside it",
    )
    plot.add_argument(
        "--device",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="draw only what was measured there of exported runs, by: efficient-sed benchmark MODEL.onnx --json",
    )
    plot.add_argument(
        "--allow-mixed", action="store_true", help="draw results of different data or metric variants together"
    )


def run_benchmark(options: argparse.Namespace) -> int:
    exported = [name for name in options.models if Path(name).suffix == EXPORTED_SUFFIX]
    if exported:
        return _benchmark_exported(options, exported)
    if options.engine is not None:
        raise ConfigError(f"--engine {options.engine} runs exported models (.onnx), and {options.models[0]} is none")
    from efficient_sed.config.parse import from_dict
    from efficient_sed.config.schema import BenchmarkConfig
    from efficient_sed.experiment.record import append_csv, complexity_table, read_benchmark_csv, speed_table
    from efficient_sed.experiment.run import benchmark_model

    typed = {
        "device": options.device,
        "batches": None if options.batch is None else _numbers("--batch", options.batch),
        "seconds": options.seconds,
        "threads": options.threads,
        "processes": options.processes,
        "with_mel": options.with_mel,
    }
    typed |= {key: getattr(options, key) and getattr(options, key).split(",") for key in ("precision", "modes")}
    config = from_dict(BenchmarkConfig, {key: value for key, value in typed.items() if value is not None}, "benchmark")
    if options.csv:
        read_benchmark_csv(options.csv)  # now, not after everything was measured
    records = [benchmark_model(name, config) for name in options.models]
    if options.csv:
        append_csv(options.csv, records)
    if options.json:
        print(json.dumps(records, indent=1))
    else:
        print_table(complexity_table(records))
        print_table(speed_table(records))
    return 0


def _benchmark_exported(options: argparse.Namespace, exported: Sequence[str]) -> int:
    """Without PyTorch, so that a small board can."""
    from efficient_sed.benchmark.exported import benchmark_exported, exported_table

    if len(exported) < len(options.models):
        raise ConfigError(
            f"{exported[0]} is an exported model and {next(name for name in options.models if name not in exported)} is none; measure them one after the other"
        )
    for option in ("device", "precision", "batch", "modes", "processes", "seconds", "with_mel", "csv"):
        if getattr(options, option) is not None:
            raise ConfigError(
                f"--{option.replace('_', '-')} is not for exported models, which are measured one clip at a time as they are; --threads, --engine and --json are"
            )
    engines = (options.engine or DEFAULT_ENGINE).split(",")
    records = benchmark_exported(
        [Path(name) for name in exported], engines, 1 if options.threads is None else options.threads
    )
    if options.json:
        print(json.dumps(records, indent=1))
    else:
        print_table(exported_table(records))
    return 0


def _numbers(option: str, text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise ConfigError(f"{option} {text or repr(text)}: not a list of whole numbers such as 1,8,64") from None


def run_plot(options: argparse.Namespace) -> int:
    from efficient_sed.frontier.points import find_runs, output_base, read_published, with_ending

    check_place(
        "--output", options.output, ("png", "svg", "html") if options.published else ("png", "svg", "html", "csv")
    )
    if not options.published:
        return report(
            find_runs(options.runs), options.output, allow_mixed=options.allow_mixed, device_files=options.device or ()
        )
    if options.device:
        raise ConfigError("--device is about runs; leave --published out")
    from efficient_sed.frontier.corrected_plot import draw_corrected
    from efficient_sed.frontier.html import write_page

    base = output_base(options.output)
    written = [*draw_corrected(read_published(), with_ending(base, "png")), write_page([], with_ending(base, "html"))]
    print("wrote " + ", ".join(str(path) for path in written))
    return 0


def check_place(option: str, output: Path, endings: Sequence[str] = ("png", "svg", "html", "csv")) -> None:
    """Raise a ConfigError now, not after everything was trained, if files of a plot cannot be written there.

    Pictures and pages replace what has their name, the CSV replaces only a table of results: it may have the name of annotations.
    """
    from efficient_sed.experiment.record import RESULT_COLUMNS
    from efficient_sed.files.atomic import check_replaceable, check_writable
    from efficient_sed.frontier.points import output_base, with_ending

    if not output.is_dir() and output_base(output) == output and FILE_ENDING.fullmatch(output.suffix):
        raise ConfigError(
            f"{option} {output} is not allowed: PNG and SVG are drawn, such as {output.with_suffix('.png')}"
        )
    header = ",".join(RESULT_COLUMNS[:3])
    for ending in endings:
        path = with_ending(output_base(output), ending)
        try:
            if ending == "csv":
                check_replaceable(path, lambda start: start.startswith(header))
            else:
                check_writable(path)
        except OSError as error:
            raise ConfigError(f"{option} {output}: {path} cannot be written ({error.strerror})") from error


def report(
    folders: Sequence[Path],
    output: Path,
    *,
    allow_mixed: bool,
    is_split: bool = False,
    device_files: Sequence[Path] = (),
) -> int:
    """Table, CSV, page and pictures of finished runs: one for each score that leads, or if `is_split` for each set of runs that compare.

    Args:
        device_files: What exported models of the runs were measured by on another machine; given, these alone are drawn.
    """
    from efficient_sed.experiment.record import result_table, write_csv
    from efficient_sed.frontier.device_rows import results_on_device
    from efficient_sed.frontier.html import write_page
    from efficient_sed.frontier.plot import draw_frontier
    from efficient_sed.frontier.points import (
        check_comparable,
        group_by_metric,
        group_comparable,
        output_base,
        read_published,
        read_results,
        run_points,
        with_ending,
    )
    from efficient_sed.frontier.table1 import table1

    found: Sequence[tuple[Path, Mapping[str, Any]]] = read_results(folders)
    if device_files:
        found = results_on_device(found, device_files)
    results = [result for _, result in found]
    groups = group_by_metric(run_points(found))
    if is_split:
        groups = [comparable for group in groups for comparable in group_comparable(group)]
    for group in groups if not allow_mixed else ():
        check_comparable(group)
    print_table(result_table(results))
    if (beside := table1(results)) is not None:
        print_table(beside)
    base = output_base(output)
    pictures = [base if index == 0 else base.with_name(f"{base.name}_{index + 1}") for index in range(len(groups))]
    for picture in pictures:
        check_place("plot", with_ending(picture, "png"), ("png", "svg"))
    written = [write_csv(with_ending(base, "csv"), results), write_page(found, with_ending(base, "html"))]
    for group, picture in zip(groups, pictures, strict=True):
        written += draw_frontier(
            group,
            read_published() if group[0].metric == "psds1_macro" else [],
            with_ending(picture, "png"),
            allow_mixed=allow_mixed,
        )
    if len(groups) > 1:
        print(
            f"efficient-sed: the runs differ in data or score and do not compare: {len(groups)} pictures",
            file=sys.stderr,
        )
    print("wrote " + ", ".join(str(path) for path in written))
    return 0
