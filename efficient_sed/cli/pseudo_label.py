"""`efficient-sed pseudo-label`: store what teachers say about a data set."""

from __future__ import annotations

import argparse
import sys

from efficient_sed.cli.options import PARTS, add_overrides, typed_path
from efficient_sed.cli.parser import Commands


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add(
        "pseudo-label",
        run,
        "Write teachers' frame logits of a data set into an HDF5 file for a training.",
        examples=(
            "pseudo-label --teacher fmn10_strong labels.h5 data=audioset_strong data.root=DIR",
            "train data=audioset_strong data.root=DIR data.pseudo_labels=labels.h5",
        ),
    )
    parser.add_argument(
        "--teacher",
        required=True,
        metavar="NAME[,NAME…]",
        help="released names, checkpoint files, hf:user/name or files of logits; of several the logits are averaged",
    )
    parser.add_argument("--part", choices=PARTS, default="train", help="part of the data set that is labelled")
    parser.add_argument(
        "output",
        type=typed_path,
        metavar="OUT.h5",
        help="file to write; until it is whole, OUT.h5.part keeps what is done",
    )
    add_overrides(parser, "data=… and data.…, as for train; train.batch_size=N clips a forward pass on a GPU")


def run(options: argparse.Namespace) -> int:
    """Write the file and print how many clips it holds."""
    from efficient_sed.experiment.compose import compose_run
    from efficient_sed.teachers.write import write_pseudo_labels

    config = compose_run(options.overrides)
    written = write_pseudo_labels(
        options.teacher.split(","), options.output, config, options.part, show_progress=sys.stderr.isatty()
    )
    print(f"{options.output}: logits of {written.num_clips} clips; left out: {written.num_left_out}")
    return 0
