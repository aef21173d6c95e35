"""`efficient-sed train`: train one model, evaluate it and measure what it costs."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import textwrap
import threading
from collections.abc import Iterator

from efficient_sed.cli.options import OVERRIDES_HELP, add_overrides
from efficient_sed.cli.parser import HELP_WIDTH, Commands
from efficient_sed.cli.terminal import print_table
from efficient_sed.errors import EXIT_FAILED
from efficient_sed.files.packaged import presets
from efficient_sed.registry import DATASETS


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add(
        "train",
        run,
        "Train one model, evaluate it and measure its cost; an interrupted run is resumed.",
        examples=(
            "train seq=gru seq.hidden=64 train.epochs=2",
            "train experiment=finetune data=folder data.root=my_sounds backbone.init=fmn10_weak",
        ),
        notes=_choices,
    )
    add_overrides(parser, OVERRIDES_HELP)
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--exit-with-parent", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--show-config",
        action="store_true",
        help="print every option with its value and stop: on a terminal with its meaning, into a file or pipe as JSON",
    )


def _choices() -> str:
    """The presets and data sets that there are; none of them is imported."""
    lists = {"presets, as experiment=NAME": presets("experiment"), "data sets, as data=NAME": DATASETS.modules()}
    return "\n\n".join(
        f"{title}:\n" + textwrap.fill(", ".join(names), HELP_WIDTH, initial_indent="  ", subsequent_indent="  ")
        for title, names in lists.items()
    )


def run(options: argparse.Namespace) -> int:
    """Train, or go on with a training that was interrupted, and print its results."""
    from efficient_sed.experiment.compose import compose_run

    config = compose_run(options.overrides)
    if options.show_config:
        from efficient_sed.config.describe import commented_yaml
        from efficient_sed.config.values import to_dict

        print(commented_yaml(config) if sys.stdout.isatty() else json.dumps(to_dict(config), indent=1))
        return 0
    from efficient_sed.cli.class_table import class_table
    from efficient_sed.cli.tables import result_table
    from efficient_sed.experiment.folders import run_folder
    from efficient_sed.experiment.run import run_experiment

    if options.exit_with_parent:
        threading.Thread(target=_exit_at_end_of_input, daemon=True).start()
    is_cpu_only = config.train.accelerator == "cpu" and config.benchmark.device != "gpu"
    with _hidden_gpus() if is_cpu_only else contextlib.nullcontext():
        result = run_experiment(config, show_progress=not options.quiet and sys.stderr.isatty())
    print_table(result_table([result]))
    if result["task"] == "detection":
        print_table(class_table(result["metrics"], result["model"]))
    print(f"everything about this run: {run_folder(config, result['data']['manifest_hash'])}")
    return 0


@contextlib.contextmanager
def _hidden_gpus() -> Iterator[None]:
    """Keep torch's optimisers from opening a context on a GPU that the run does not use."""
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    try:
        yield
    finally:
        del os.environ["CUDA_VISIBLE_DEVICES"]
        if before is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = before


def _exit_at_end_of_input() -> None:
    """End this process when the sweep that started it ends: a run must not go on beside that of the next sweep.

    Reads the file descriptor, since this thread would hold the lock of `sys.stdin` when the interpreter ends.
    """
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(EXIT_FAILED)
