"""`efficient-sed verify`: whether a released model scores what its card says."""

from __future__ import annotations

import argparse
import dataclasses
import json

from efficient_sed.cli.options import add_overrides
from efficient_sed.cli.parser import Commands
from efficient_sed.errors import EXIT_FAILED, EXIT_NOT_COMPARABLE


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add(
        "verify",
        run,
        "Compare a released model's score with its card; status 0: pass, 1: fail, 3: the data do not compare.",
        examples=("verify fmn04_synthetic --data synthetic", "verify fmn10+tf-256_strong --data AUDIOSET --json"),
    )
    parser.add_argument("model", metavar="NAME", help="released name")
    add_overrides(parser, "data.…, such as data.num_workers=8, and train.batch_size")
    parser.add_argument(
        "--data", required=True, help="data set such as synthetic, or the directory of a folder data set"
    )
    parser.add_argument("--tolerance", type=float, default=0.005, help="largest difference that passes")
    parser.add_argument("--json", action="store_true", help="print the comparison as JSON")


def run(options: argparse.Namespace) -> int:
    """Print the comparison; the status says how it ended."""
    from efficient_sed.experiment.verify import Outcome, verify_model

    verdict = verify_model(options.model, options.data, options.overrides, options.tolerance)
    print(json.dumps(dataclasses.asdict(verdict), indent=1) if options.json else "\n".join(verdict.lines()))
    return {Outcome.PASS: 0, Outcome.FAIL: EXIT_FAILED, Outcome.NOT_COMPARABLE: EXIT_NOT_COMPARABLE}[verdict.outcome]
