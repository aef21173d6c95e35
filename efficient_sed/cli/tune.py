"""`efficient-sed tune`: choose the post-processing of a trained model on validation scores."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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

PARAMETERS_SUFFIX, MODEL_SUFFIX = ".json", ".safetensors"


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add(
        "tune",
        run,
        "Choose windows, change points and thresholds of a trained model on the validation part of a data set.",
        examples=(
            "tune fmn04+tf-128_synthetic data=synthetic --output tuned.json",
            "tune runs/mine/model.safetensors data=synthetic --output tuned.safetensors",
        ),
    )
    parser.add_argument("model", metavar="MODEL", help="released name, checkpoint file, hf:user/name or exported model")
    add_overrides(parser, "data=… and evaluation.…, as for train")
    parser.add_argument(
        "--part", choices=PARTS[:2], default="validation", help="part of the data set that it is chosen on"
    )
    parser.add_argument(
        "--output",
        type=typed_path,
        metavar="FILE",
        help=f"{PARAMETERS_SUFFIX} for detect --postprocessing, or {MODEL_SUFFIX}: the model with what it was tuned to",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the file")
    add_engine(parser, None, "see evaluation.engine, its default")
    parser.set_defaults(option_of={"evaluation.engine": "--engine", "engine": "--engine"})


def run(options: argparse.Namespace) -> int:
    """Print what is gained, and write the parameters or the model."""
    from efficient_sed.experiment.compose import compose_run
    from efficient_sed.experiment.tune import tune_checkpoint
    from efficient_sed.inference.engines.contract import is_exported

    overrides = scoring_overrides(options)
    config, typed = compose_run(overrides), check_scoring_overrides("tune", overrides)
    if config.task != "detection" or config.evaluation.tune == "none":
        given = f"task={config.task}" if config.task != "detection" else "evaluation.tune=none"
        raise ConfigError(f"{given} is not allowed: tune chooses post-processing of detections; leave it out")
    _check_output(options.output, overwrite=options.overwrite, is_exported=is_exported(options.model))
    model, chosen, report = tune_checkpoint(options.model, config, options.part, typed)
    print_table(gains_table(report))
    if options.output is None:
        print("nothing was written; --output FILE keeps it")
        return 0
    _write(options.output, model, chosen)
    print(f"wrote {options.output}")
    return 0


def gains_table(report: Mapping[str, Any]) -> Any:
    """A row for scores and one for events: the method, and scores without and with it by cross-validation."""
    from rich.table import Table

    from efficient_sed.metrics.contracts import all_scores

    title = f"Tuned for {report['for']} on {report['clips']} clips of {report['data']} ({report['part']})"
    table = Table(title=title, title_justify="left", caption_justify="left")
    for column in ("of", "method", "parameters", "untuned", "tuned", "gain", "95 %"):
        table.add_column(column, justify="left" if column in ("of", "method", "parameters") else "right")
    names = {key: score.name for key, score in all_scores("detection").items()}
    for entry in (report[key] for key in ("scores", "events") if key in report):
        ends = " to ".join(f"{end:+.3f}" for end in entry["gain_ci95"])
        shared = "one a class" if entry["per_class"] else "shared by all classes"
        values = (f"{entry['untuned']:.3f}", f"{entry['tuned']:.3f}", f"{entry['gain']:+.3f}", ends)
        table.add_row(names[entry["metric"]], entry["method"], shared, *values)
    few = report.get("classes_with_few_events", [])
    notes = [f"scores by {report['folds']}-fold cross-validation: clips had no part in what is applied to them"]
    notes += [f"classes with too few events, which share parameters: {', '.join(few)}"] if few else []
    table.caption = "; ".join(notes) if "missing" not in report else report["missing"]
    return table


def _check_output(output: Path | None, *, overwrite: bool, is_exported: bool) -> None:
    """Raise a ConfigError now, not after the scoring, if the file cannot be written."""
    from efficient_sed.files.atomic import check_writable

    if output is None:
        return
    if output.suffix not in (PARAMETERS_SUFFIX, MODEL_SUFFIX):
        allowed = f"a file that ends in {PARAMETERS_SUFFIX} or {MODEL_SUFFIX}"
        raise ConfigError(f"--output {output} is not allowed: {allowed}")
    if is_exported and output.suffix == MODEL_SUFFIX:
        allowed = f"parameters for an exported model go into {PARAMETERS_SUFFIX}"
        raise ConfigError(f"--output {output} is not allowed: {allowed}")
    if output.exists() and not overwrite:
        raise ConfigError(f"--output {output}: is there already; --overwrite replaces it")
    try:
        check_writable(output)
    except OSError as error:
        raise ConfigError(f"--output {output}: cannot be written ({error.strerror})") from error


def _write(output: Path, model: Any, chosen: Any) -> None:
    import dataclasses

    from efficient_sed.models.weights.checkpoint import save_model
    from efficient_sed.postprocessing.file import write_postprocessing

    try:
        if output.suffix == PARAMETERS_SUFFIX:
            write_postprocessing(output, chosen, model.classes)
        else:
            model.provenance = dataclasses.replace(model.provenance, postprocessing=chosen.to_dict())
            save_model(model, output)
    except OSError as error:
        raise ConfigError(f"--output {output}: cannot be written ({error.strerror})") from error
