"""`efficient-sed models`: list released models, show the card of one, convert a file of weights."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from efficient_sed.cli.options import add_budget, share
from efficient_sed.cli.parser import Commands
from efficient_sed.cli.terminal import print_table
from efficient_sed.errors import ConfigError


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add(
        "models",
        run,
        "List released models, print the card of one, or convert a file of weights to ours.",
        examples=(
            "models 'fmn10*' --sort macs",
            "models --max-macs 500M --max-params 2M --min-score 0.4 --sort macs",
            "models convert weights.pt mine.safetensors --name fmn10+tf-256",
        ),
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="[PATTERN | convert IN OUT.safetensors]",
        help="names such as 'fmn10*'; one name prints its card; convert: rewrite a checkpoint",
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


def run(options: argparse.Namespace) -> int:
    """Print the list or a card, or convert a file."""
    from efficient_sed.benchmark import model_list as listing
    from efficient_sed.benchmark.model_groups import Budget

    budget = Budget(options.max_macs, options.max_params, options.min_score)
    is_conversion = options.words[:1] == ["convert"]
    if is_conversion and (options.sort or options.composable or options.hidden or options.json or any(budget)):
        raise ConfigError("models convert takes --name, --half and --force; the other options belong to the list")
    if is_conversion:
        return _convert(options)
    if options.name or options.half or options.force:
        raise ConfigError("--name, --half and --force belong to: efficient-sed models convert IN OUT.safetensors")
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
