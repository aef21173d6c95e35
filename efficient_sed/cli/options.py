"""Options that several commands share."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence

from efficient_sed.config.evaluation import AUTO as AUTO_ENGINE
from efficient_sed.config.evaluation import TORCH
from efficient_sed.errors import CheckpointError, ConfigError
from efficient_sed.inference.engines.contract import engines_for, exported_suffixes
from efficient_sed.postprocessing.thresholds import AUTO
from efficient_sed.registry import ANNOTATION_FORMATS

OVERRIDES_HELP = "settings of the run, such as: seq=gru seq.hidden=128 data=folder data.root=DIR train.epochs=20"
OPTION_OF = {
    "threshold": "--threshold",
    "median_frames": "--median",
    "postprocessing": "--postprocessing",
    "hop_s": "--hop",
    "lookahead_s": "--lookahead",
    "sample_rate": "--rate",
    "channel": "--channel",
    "engine": "--engine",
    "report": "--report",
}
"""Options of a detection by the key that messages speak of."""
AUTO_HELP = "on a CPU onnxruntime, where it is installed and was used before or there is an hour of sound, else torch"
PARTS = ("train", "validation", "test")
TRAINING_GROUPS = ("backbone", "seq", "model", "train", "benchmark")
SCORING_KEYS = ("train.batch_size", "train.accelerator")
"""Keys of those groups that scoring uses."""


def add_overrides(parser: argparse.ArgumentParser, text: str, metavar: str = "key=value") -> None:
    """Add the `key=value` words of a command."""
    parser.add_argument("overrides", nargs="*", default=[], metavar=metavar, help=text)


def add_truth_format(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the format of annotations which would be recognised as another."""
    formats = ANNOTATION_FORMATS.names()
    words = "format of --truth (default: recognised by its content)"
    parser.add_argument("--truth-format", choices=formats, metavar="F", help=f"{words}: {', '.join(formats)}")


def check_scoring_overrides(command: str, overrides: Sequence[str]) -> set[str]:
    """Keys that were typed for a command that takes a model as it is.

    Raises:
        ConfigError: If one is of the training.
    """
    from efficient_sed.experiment.keys import key_of

    typed = {key_of(override): override for override in overrides}
    for key, override in typed.items():
        if key.split(".")[0] in TRAINING_GROUPS and key not in SCORING_KEYS:
            allowed = f"data=…, data.KEY, evaluation.KEY, task, {', '.join(SCORING_KEYS)}"
            raise ConfigError(f"{override}: {command} takes the model as it is; allowed: {allowed}")
    return set(typed)


def add_engine(parser: argparse.ArgumentParser, default: str | None = AUTO_ENGINE, auto: str = AUTO_HELP) -> None:
    """Add `--engine`.

    Args:
        parser: Of the command.
        default: Its value where it is not typed.
        auto: What `auto` does with a model that is not exported, for help.
    """
    names = f"{TORCH}, which runs no exported models; {engine_names()}; or {AUTO_ENGINE}"
    parser.add_argument("--engine", default=default, help=f"what computes the scores: {names}: {auto}")


def scoring_overrides(options: argparse.Namespace) -> list[str]:
    """The `key=value` words of a command that scores, with its `--engine`."""
    return [*options.overrides, *([] if options.engine is None else [f"evaluation.engine={options.engine}"])]


def engine_names() -> str:
    """Names of all engines by the ending of the files they run, for help."""
    return "; ".join(
        f"{', '.join(engines_for(suffix))} for {suffix} (default: {engines_for(suffix)[0]})"
        for suffix in exported_suffixes()
    )


def add_detector(parser: argparse.ArgumentParser, auto: str = AUTO_HELP) -> None:
    """Add the model of a detection, and how its scores become events; `auto` as for `add_engine`."""
    parser.add_argument(
        "--model",
        help="released name, checkpoint file, hf:user/name or exported model (default: the released detector of "
        "AudioSet's 447 classes, fetched once)",
    )
    add_engine(parser, auto=auto)
    parser.add_argument(
        "--threshold",
        type=number_or_text,
        default=AUTO,
        help="score from which a frame is active: one for all classes; some by label, such as dog=0.3,default=0.5; "
        "auto takes those that the model was tuned to, or 0.5",
    )
    parser.add_argument(
        "--postprocessing",
        default=AUTO,
        metavar="{auto,none,FILE}",
        help="what turns scores into events: the model's own, nothing, or a file of efficient-sed tune --output",
    )
    parser.add_argument("--median", type=int, metavar="FRAMES", help="a median filter of this length in its place")
    parser.set_defaults(option_of=OPTION_OF)


def number_or_text(typed: str) -> float | str:
    """A number where it is one."""
    try:
        return float(typed)
    except ValueError:
        return typed


def chosen_model(name: str | None) -> str:
    """The model that was typed; the default detector if there was none, fetched if it is not here.

    Raises:
        CheckpointError: If that cannot be fetched; the message names the file to put, and the detector that is here.
        ModuleNotFoundError: Without PyTorch, which it needs.
    """
    if name is not None:
        return name
    if importlib.util.find_spec("torch") is None:
        raise ModuleNotFoundError("no PyTorch", name="torch")
    from efficient_sed.models.weights.cards import (
        DEFAULT_DETECTOR,
        SYNTHETIC_DETECTOR,
        find_weights,
        get_card,
        local_weights,
    )

    card = get_card(DEFAULT_DETECTOR)
    if local_weights(card) is None:
        try:
            find_weights(card)
        except CheckpointError as error:
            other = f"--model {SYNTHETIC_DETECTOR} is here, but knows generated sounds and none of the real world"
            raise CheckpointError(f"no --model given: {error}; {other}") from error
    print(f"efficient-sed: no --model given, using {card.name}: {card.summary}", file=sys.stderr)
    return card.name
