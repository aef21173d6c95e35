"""`efficient-sed benchmark --results`: one CSV a device and precision of what models cost."""

from __future__ import annotations

import argparse
import textwrap

from efficient_sed.errors import ConfigError
from efficient_sed.inference.engines.contract import is_exported

ALIKE = ("batch", "modes", "processes", "seconds", "with_mel", "engine", "csv")
"""Options that do not go with it."""
MODES = ("fused",)
"""The form that `detect` and `evaluate` run."""


def fill_results(options: argparse.Namespace) -> int:
    """Measure what the CSV does not have yet, and say what the time was too short for."""
    for name in ALIKE:
        if getattr(options, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise ConfigError(
                f"{option} does not go with --results, whose rows are measured alike so that they compare"
            )
    if options.json:
        raise ConfigError("--json does not go with --results, which writes a CSV")
    if exported := next(filter(is_exported, options.models), None):
        raise ConfigError(f"{exported} is an exported model, and --results is for models by name; measure it without")
    from efficient_sed.benchmark.every_model import every_model
    from efficient_sed.config.benchmark import BenchmarkConfig
    from efficient_sed.config.parse import from_dict
    from efficient_sed.experiment.benchmark_csv import read_benchmark_csv
    from efficient_sed.experiment.measure_all import measure_missing, results_path

    precision = options.precision and options.precision.split(",")
    typed = {key: getattr(options, key) for key in ("device", "threads", "clock")}
    typed |= {"precision": precision, "modes": MODES}
    config = from_dict(BenchmarkConfig, {key: value for key, value in typed.items() if value is not None}, "benchmark")
    path = results_path(options.results, config)
    num_before = len(read_benchmark_csv(path))
    names = [row["name"] for row in every_model(options.models or ["*"])]
    left = measure_missing(path, names, config, options.budget)
    num_rows = len(read_benchmark_csv(path))
    print(f"{path}: {num_rows} models, {num_rows - num_before} of them new")
    if left:
        print(textwrap.fill(f"no time for {len(left)}, the cheapest first: {', '.join(left)}", 100))
        print("the same command goes on with them")
    return 0
