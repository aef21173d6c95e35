"""`efficient-sed evaluate`: score a trained model on a data set."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from efficient_sed.cli.options import (
    PARTS,
    add_engine,
    add_overrides,
    check_scoring_overrides,
    scoring_overrides,
    typed_path,
)
from efficient_sed.cli.parser import Commands
from efficient_sed.cli.terminal import print_table
from efficient_sed.errors import ConfigError

if TYPE_CHECKING:
    from efficient_sed.config.run import RunConfig
    from efficient_sed.inference.error_report.collected import ErrorReport


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add(
        "evaluate",
        run,
        "Score a trained model on the test part of a data set.",
        examples=(
            "evaluate fmn04_synthetic data=synthetic",
            "evaluate mine.safetensors data=folder data.root=my_sounds --report errors.html",
        ),
    )
    parser.add_argument("model", metavar="MODEL", help="released name, checkpoint file, hf:user/name or exported model")
    add_overrides(parser, "data=… and evaluation.…, as for train")
    parser.add_argument("--part", choices=PARTS, default="test", help="part of the data set that is scored")
    add_engine(parser, None, "see evaluation.engine, its default")
    parser.add_argument(
        "--report",
        type=typed_path,
        metavar="HTML",
        help="page about the errors: scores and curves of each class, and misses and false alarms to listen to",
    )
    parser.add_argument("--max-errors", type=int, metavar="N", help="on that page with their sound (default: 300)")
    parser.set_defaults(
        option_of={
            "report": "--report",
            "max_errors": "--max-errors",
            "evaluation.engine": "--engine",
            "engine": "--engine",
        }
    )


def run(options: argparse.Namespace) -> int:
    """Print the scores as JSON, and a table for each class on the standard error."""
    from efficient_sed.cli.class_table import class_table
    from efficient_sed.experiment.compose import compose_run
    from efficient_sed.experiment.score import score_checkpoint

    overrides = scoring_overrides(options)
    config, typed = compose_run(overrides), check_scoring_overrides("evaluate", overrides)
    report = _report(options, config)
    metrics = score_checkpoint(options.model, config, options.part, typed, report)
    print(json.dumps({"model": options.model, "part": options.part, **metrics}, indent=1))
    if config.task == "detection":
        print_table(class_table(metrics, options.model), is_error=True)
    return 0


def _report(options: argparse.Namespace, config: RunConfig) -> ErrorReport | None:
    """The page that is wanted, checked before the evaluation begins.

    Raises:
        ConfigError: If there can be none, or it would replace another file.
    """
    from efficient_sed.files.atomic import check_replaceable, names_program
    from efficient_sed.inference.error_report.collected import ErrorReport
    from efficient_sed.inference.error_report.write import MAX_ERRORS, check_error_report

    if options.report is None:
        if options.max_errors is not None:
            raise ConfigError("--max-errors belongs to --report")
        return None
    if config.task != "detection":
        raise ConfigError(f"--report is about events, and task={config.task} has none")
    max_errors = MAX_ERRORS if options.max_errors is None else options.max_errors
    check_error_report(options.report, max_errors)
    try:
        check_replaceable(options.report, names_program)
    except OSError as error:
        raise ConfigError(f"--report {options.report}: cannot be written ({error.strerror})") from error
    title = f"{Path(options.model).name} on {config.data.name}, {options.part} part"
    return ErrorReport(options.report, title, max_errors)
