"""`efficient-sed export`: models for other run times."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from efficient_sed.cli.options import add_overrides, engine_names, typed_path
from efficient_sed.cli.parser import Commands
from efficient_sed.cli.terminal import print_table
from efficient_sed.errors import ConfigError
from efficient_sed.inference.engines.contract import is_exported
from efficient_sed.inference.header import InputKind
from efficient_sed.registry import EXPORT_TARGETS

if TYPE_CHECKING:
    from efficient_sed.models.sed import SedModel


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add(
        "export",
        run,
        "Write a model for another run time; a float32 file is kept only if its scores are PyTorch's.",
        examples=(
            "export fmn10+tf-256_strong --format onnx --output detector.onnx",
            "export fmn04+tf-128_synthetic --precision all data=synthetic",
            "export fmn04+tf-128_synthetic --format web --output page",
        ),
    )
    parser.add_argument("model", metavar="MODEL", help="released name, checkpoint file or hf:user/name")
    add_overrides(parser, "with --precision: the data that it is calibrated and scored on, data=… as for train")
    parser.add_argument(
        "--format",
        metavar="F",
        help=f"what kind of file: {', '.join(EXPORT_TARGETS.names())}; with --precision also several or all "
        "(default with --precision all: all)",
    )
    parser.add_argument(
        "--input",
        choices=get_args(InputKind),
        help=f"what the file takes: samples, or spectrograms of the model's front end (default: {_default_inputs()})",
    )
    parser.add_argument(
        "--output",
        type=typed_path,
        metavar="FILE",
        help="file or folder to write (default: the model's name, in this folder)",
    )
    parser.add_argument(
        "--runtime",
        type=typed_path,
        metavar="DIR",
        help="with --format web, a copy of the npm package onnxruntime-web to put into the page's folder "
        "(default: none; the page fetches it from a public address)",
    )
    parser.add_argument(
        "--precision",
        metavar="P[,P…]",
        help="compare score, size, speed, start and memory, and write a file of each; all, or of "
        f"{_precision_names()} (default: fp32 alone, not compared)",
    )
    parser.add_argument(
        "--engine",
        metavar="E[,E…]",
        help=f"with --precision, what runs the files: all, or of {engine_names()} (default with --precision all: all)",
    )
    parser.add_argument("--threads", type=int, help="with --precision, threads of the engine (default: 1)")
    parser.add_argument("--force", action="store_true", help="overwrite what is at --output")


def _default_inputs() -> str:
    """The input of each format, for help."""
    by_input: dict[str, list[str]] = {}
    for name in EXPORT_TARGETS.names():
        by_input.setdefault(EXPORT_TARGETS.get(name).inputs[0], []).append(name)
    return "; ".join(f"{kind} for {', '.join(names)}" for kind, names in by_input.items())


def _precision_names() -> str:
    """The precisions of each format, for help and messages."""
    return "; ".join(f"{name}: {', '.join(EXPORT_TARGETS.get(name).precisions)}" for name in EXPORT_TARGETS.names())


def run(options: argparse.Namespace) -> int:
    """Write one file, or several precisions together with what they score and cost."""
    _check(options)
    from efficient_sed.export.write import create_target, export_model
    from efficient_sed.models.names import architecture_name
    from efficient_sed.models.weights.checkpoint import has_own_file, load_model
    from efficient_sed.models.weights.hub import is_hub_name, parse_hub_name

    is_file, stem = has_own_file(options.model), options.model
    if is_file:
        stem = parse_hub_name(stem).repo.split("/")[1] if is_hub_name(stem) else Path(stem).stem
    if options.precision is None:
        target = create_target(options.format, options.runtime)
        output = options.output or Path(f"{stem}{target.suffix}")
        target.check_output(output, overwrite=options.force)
    model = load_model(options.model)
    name = architecture_name(model.spec.backbone, model.spec.seq) if is_file else options.model
    if options.precision is not None:
        return _export_precisions(options, model, name, stem)
    written = export_model(
        model,
        output,
        name,
        target=target.name,
        input_kind=options.input,
        runtime=options.runtime,
        overwrite=options.force,
    )
    print("\n".join(written.lines()))
    return 0


def _export_precisions(options: argparse.Namespace, model: SedModel, name: str, stem: str) -> int:
    from efficient_sed.cli.exported_tables import precisions_table
    from efficient_sed.experiment.compose import compose_run
    from efficient_sed.experiment.keys import key_of
    from efficient_sed.experiment.precisions import export_precisions
    from efficient_sed.export.plan import ALL

    typed = {key_of(override) for override in options.overrides}
    task = [] if "task" in typed else [f"task={model.provenance.task}"]
    is_all = options.precision == ALL
    targets = (options.format or ALL).split(",")
    suffix = "" if ALL in targets else EXPORT_TARGETS.get(targets[0]).suffix
    comparison = export_precisions(
        model,
        options.output or Path(f"{stem}{suffix}"),
        name,
        targets,
        options.precision.split(","),
        options.engine.split(",") if options.engine else [ALL] if is_all else [],
        compose_run([*task, *options.overrides]),
        typed,
        input_kind=options.input,
        num_threads=1 if options.threads is None else options.threads,
        overwrite=options.force,
    )
    print_table(precisions_table(comparison))
    print("\n".join([*(f"left out: {note}" for note in comparison.left_out), *comparison.verdicts()]))
    return 0


def _check(options: argparse.Namespace) -> None:
    """Raise a ConfigError unless the options go together."""
    given = [
        f"--{option}" for option in ("engine", "threads") if getattr(options, option) is not None
    ] + options.overrides
    if is_exported(options.model):
        raise ConfigError(f"{options.model}: is exported already; give the model that it was made from")
    if options.precision is None and given:
        raise ConfigError(f"{given[0]} belongs to --precision P[,P…], which compares precisions; {_precision_names()}")
    if options.format is None and options.precision != "all":
        raise ConfigError(f"--format is missing: what kind of file, one of {', '.join(EXPORT_TARGETS.names())}")
    if options.precision is not None and not any(override.startswith("data=") for override in options.overrides):
        raise ConfigError(
            f"--precision {options.precision} is kept only with its score: "
            "name the data to calibrate and score it on, such as data=folder data.root=DIR"
        )
