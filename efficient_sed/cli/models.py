"""`efficient-sed models`: list released models, show the card of one, convert a file of weights, push a run."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from efficient_sed.cli.hub import print_hub_card, push
from efficient_sed.cli.options import add_budget, share
from efficient_sed.cli.parser import Commands
from efficient_sed.cli.terminal import print_table
from efficient_sed.errors import ConfigError
from efficient_sed.models.weights.hub import is_hub_name

USAGE = {"list": "[PATTERN]", "convert": "convert IN OUT.safetensors", "push": "push RUN USER/NAME"}
OPTIONS = {
    "list": ("sort", "composable", "hidden", "json", "max_macs", "max_params", "min_score"),
    "convert": ("name", "half", "force"),
    "push": ("licence", "private", "revision", "onnx"),
}
"""Which options belong to what."""


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add(
        "models",
        run,
        "List released models, print the card of one, convert a file of weights to ours, or share a run on the hub.",
        examples=(
            "models --max-macs 500M --max-params 2M --min-score 0.4 --sort macs",
            "models convert weights.pt mine.safetensors --name fmn10+tf-256",
            "models push runs/RUN user/name --licence MIT",
        ),
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar=f"[{' | '.join(['PATTERN', USAGE['convert'], USAGE['push']])}]",
        help="names such as 'fmn10*'; one name, or hf:user/name, prints its card; convert: rewrite a checkpoint; push: "
        "upload a finished run to the Hugging Face Hub",
    )
    parser.add_argument(
        "--sort",
        choices=("name", "params", "macs", "score"),
        help="order within a table (default: by parameters); a table holds models whose scores compare",
    )
    add_budget(parser)
    parser.add_argument("--min-score", type=share, metavar="S", help="only models whose first score is at least this")
    parser.add_argument("--composable", action="store_true", help="list every backbone with every head instead")
    parser.add_argument(
        "--hidden",
        metavar="N[,N…]",
        help="with --composable: sizes of the heads, such as 128,512; 256 if none are given",
    )
    parser.add_argument("--json", action="store_true", help="print everything known as JSON")
    parser.add_argument(
        "--name",
        metavar="ARCH",
        help="convert: architecture such as fmn10+tf-256 (default: what the file says, or its name)",
    )
    parser.add_argument("--half", action="store_true", help="convert: store weights as float16")
    parser.add_argument("--force", action="store_true", help="convert: overwrite OUT")
    parser.add_argument("--licence", metavar="L", help="push: licence of the weights, such as MIT or CC-BY-4.0")
    parser.add_argument("--private", action="store_true", help="push: make a repository that nobody else sees")
    parser.add_argument("--revision", metavar="BRANCH", help="push: branch, made if it is not there (default: main)")
    parser.add_argument("--onnx", action="store_true", help="push: export and upload an ONNX file too")


def run(options: argparse.Namespace) -> int:
    """Print the list or a card, convert a file, or push a run."""
    action = options.words[0] if options.words[:1] in (["convert"], ["push"]) else "list"
    for other, names in OPTIONS.items():
        if other != action and any(getattr(options, name) for name in names):
            *most, last = (name.replace("_", "-") for name in names)
            all_but_last = ", ".join(f"--{name}" for name in most)
            raise ConfigError(f"{all_but_last} and --{last} belong to: efficient-sed models {USAGE[other]}")
    if action != "list":
        return _convert(options) if action == "convert" else push(options)
    if len(options.words) == 1 and is_hub_name(options.words[0]):
        return print_hub_card(options)
    return _list(options)


def _list(options: argparse.Namespace) -> int:
    from efficient_sed.benchmark import model_list as listing
    from efficient_sed.benchmark.model_groups import Budget

    budget = Budget(options.max_macs, options.max_params, options.min_score)
    if options.composable and options.min_score is not None:
        raise ConfigError(f"--min-score {options.min_score:g}: composable models have random weights and no score")
    if options.hidden and not options.composable:
        raise ConfigError(f"--hidden {options.hidden} belongs to: efficient-sed models --composable")
    if len(options.words) > 1:
        raise ConfigError(
            f"models takes one PATTERN, got {' '.join(options.words)!r}; quote patterns for the shell: 'fmn10*'"
        )
    pattern = options.words[0] if options.words else "*"
    if options.composable:
        rows = listing.list_composable(pattern, listing.parse_sizes(options.hidden or "256"), options.sort)
    else:
        rows = listing.list_released(pattern, options.sort)
    listing.check_found(pattern, rows, is_composable=options.composable)
    rows = budget.select(rows)
    _print(options, pattern, rows)
    return 0


def _print(options: argparse.Namespace, pattern: str, rows: Sequence[dict[str, Any]]) -> None:
    from efficient_sed.benchmark.model_list import list_models
    from efficient_sed.cli.model_tables import RELEASED_NOTE, card_table, composable_table, released_tables

    if options.json:
        whole = {} if options.words or options.composable else list_models()
        print(json.dumps({**whole, "composable" if options.composable else "released": rows}, indent=1))
    elif options.composable:
        print_table(composable_table(rows))
    elif rows[0]["name"] == pattern:
        print_table(card_table(rows[0]))
    else:
        for table in released_tables(rows):
            print_table(table)
            print()
        print(RELEASED_NOTE)


def _convert(options: argparse.Namespace) -> int:
    from efficient_sed.models.weights.convert import convert_checkpoint

    if len(options.words) != 3:
        raise ConfigError(
            f"models convert takes IN and OUT.safetensors, got {' '.join(options.words[1:]) or 'neither'}"
        )
    source, target = map(Path, options.words[1:])
    name = convert_checkpoint(source, target, options.name, half=options.half, overwrite=options.force)
    print(f"wrote {target}: {name}")
    return 0
