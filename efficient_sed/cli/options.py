"""Options that several commands share."""

from __future__ import annotations

import argparse
import sys

from efficient_sed.inference.engines.contract import engines_for, exported_suffixes

OVERRIDES_HELP = "settings of the run, such as: seq=gru seq.hidden=128 data=folder data.root=DIR train.epochs=20"
PARTS = ("train", "validation", "test")


def add_overrides(parser: argparse.ArgumentParser, text: str, metavar: str = "key=value") -> None:
    """Add the `key=value` words of a command."""
    parser.add_argument("overrides", nargs="*", default=[], metavar=metavar, help=text)


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add `--engine` for exported models."""
    parser.add_argument("--engine", help=f"what runs an exported model: {engine_names()}")


def engine_names() -> str:
    """Names of all engines by the ending of the files they run, for help."""
    return "; ".join(
        f"{', '.join(engines_for(suffix))} for {suffix} (default: {engines_for(suffix)[0]})"
        for suffix in exported_suffixes()
    )


def add_detector(parser: argparse.ArgumentParser) -> None:
    """Add the model of a detection, and how its scores become events."""
    parser.add_argument(
        "--model",
        help="released name, checkpoint file or exported model (default: the detector shipped with the package)",
    )
    add_engine(parser)
    parser.add_argument("--threshold", type=float, default=0.5, help="score from which a frame is active")
    parser.add_argument(
        "--median",
        type=int,
        metavar="FRAMES",
        help="length of the median filter that smooths the scores (default: the model's own)",
    )


def chosen_model(name: str | None) -> str:
    """The model that was typed; the shipped detector if there was none, which a line on the standard error says."""
    if name is not None:
        return name
    from efficient_sed.models.weights.cards import DEFAULT_DETECTOR, list_cards

    summary = list_cards()[DEFAULT_DETECTOR].summary
    print(f"efficient-sed: no --model given, using {DEFAULT_DETECTOR}: {summary}", file=sys.stderr)
    return DEFAULT_DETECTOR
