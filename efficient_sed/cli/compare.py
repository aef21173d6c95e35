"""`efficient-sed compare`: whether one run is better than another, or only luckier with its clips."""

from __future__ import annotations

import argparse
import dataclasses
import json

from efficient_sed.cli.options import typed_path
from efficient_sed.cli.parser import Commands


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add(
        "compare",
        run,
        "Say whether one finished run is better than another, or only luckier with its clips.",
        examples=("compare runs/RUN_A runs/RUN_B", "compare runs/RUN_A runs/RUN_B --replicates 10000 --json"),
    )
    parser.add_argument("first", type=typed_path, metavar="RUN_A", help="folder of a finished detection run")
    parser.add_argument("second", type=typed_path, metavar="RUN_B", help="folder of another one on the same data")
    parser.add_argument("--replicates", type=int, default=1000, help="how often the clips are resampled")
    parser.add_argument("--json", action="store_true", help="print the comparison as JSON")


def run(options: argparse.Namespace) -> int:
    """Print the comparison."""
    from efficient_sed.experiment.compare import compare_runs

    comparison = compare_runs(options.first, options.second, options.replicates)
    if options.json:
        print(json.dumps({**dataclasses.asdict(comparison), "is_real": comparison.is_real}, indent=1))
    else:
        print("\n".join(comparison.lines()))
    return 0
