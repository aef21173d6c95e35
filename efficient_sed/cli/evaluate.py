"""`efficient-sed evaluate`: score a trained model on a data set."""

from __future__ import annotations

import argparse
import json

from efficient_sed.cli.options import PARTS, add_engine, add_overrides
from efficient_sed.cli.parser import Commands
from efficient_sed.errors import ConfigError

TRAINING_GROUPS = ("backbone", "seq", "model", "train", "benchmark")
SCORING_KEYS = ("train.batch_size", "train.accelerator")
"""Keys of those groups that scoring uses."""


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add(
        "evaluate",
        run,
        "Score a trained model on the test part of a data set.",
        examples=(
            "evaluate fmn04_synthetic data=synthetic",
            "evaluate mine.safetensors data=folder data.root=my_sounds --part validation",
        ),
    )
    parser.add_argument("model", metavar="MODEL", help="released name, checkpoint file or exported model")
    add_overrides(parser, "data=… and evaluation.…, as for train")
    parser.add_argument("--part", choices=PARTS, default="test", help="part of the data set that is scored")
    add_engine(parser)


def run(options: argparse.Namespace) -> int:
    """Print the scores as JSON."""
    from efficient_sed.experiment.compose import compose_run
    from efficient_sed.experiment.keys import key_of
    from efficient_sed.experiment.score import score_checkpoint

    config = compose_run(options.overrides)
    typed = {key_of(override): override for override in options.overrides}
    for key, override in typed.items():
        if key.split(".")[0] in TRAINING_GROUPS and key not in SCORING_KEYS:
            raise ConfigError(
                f"{override}: evaluate takes the model as it is; "
                f"allowed: data=…, data.KEY, evaluation.KEY, task, {', '.join(SCORING_KEYS)}"
            )
    metrics = score_checkpoint(options.model, config, options.part, set(typed), options.engine)
    print(json.dumps({"model": options.model, "part": options.part, **metrics}, indent=1))
    return 0
