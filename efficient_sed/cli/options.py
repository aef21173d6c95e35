"""Options that several commands share."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import re
import sys
from collections.abc import Sequence
from pathlib import Path

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
UNITS = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}
SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
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


def add_budget(parser: argparse.ArgumentParser) -> None:
    """Add what a model may cost."""
    parser.add_argument(
        "--max-macs", type=count, metavar="N", help="only models of at most so many MACs for a clip of 10 s: 500M, 1.5G"
    )
    parser.add_argument("--max-params", type=count, metavar="N", help="only models of at most so many parameters: 2M")


def count(typed: str) -> int:
    """A count such as 500M, 1.5G, 300k or 2000000."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kMG]?)", typed)
    number = float(match[1]) * UNITS[match[2]] if match else 0
    if not 1 <= number < float("inf"):
        form = "a count of 1 or more; give digits with k, M or G: 500M, 1.5G"
        raise argparse.ArgumentTypeError(f"{typed!r} is not {form}")
    return round(number)


def typed_path(typed: str) -> Path:
    """A path; empty text, such as that of a variable that is not set, would be the current folder."""
    if not typed.strip():
        raise argparse.ArgumentTypeError(f"{typed!r} is no path; give a name, or . for the current folder")
    return Path(typed)


def duration(typed: str) -> float:
    """Seconds of a time such as 90s, 30m or 1.5h."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", typed)
    if not match or not float(match[1]):
        raise argparse.ArgumentTypeError(f"{typed!r} is not a time above 0; give a number with s, m or h: 90s, 30m")
    return float(match[1]) * SECONDS[match[2]]


def share(typed: str) -> float:
    """A number above 0, at most 1."""
    with contextlib.suppress(ValueError):
        if 0 < (number := float(typed)) <= 1:
            return number
    raise argparse.ArgumentTypeError(f"{typed!r} is not a number above 0, at most 1, such as 0.43")


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
