"""`efficient-sed models` and `efficient-sed verify`: what is released, and whether it scores what its card says."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from efficient_sed.cli.terminal import print_table
from efficient_sed.errors import EXIT_FAILED, EXIT_NOT_COMPARABLE, ConfigError


def add_released(add: Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]) -> None:
    """Both commands with their options."""
    models = add(
        "models", run_models, "List released models, print the card of one, or convert a file of weights to ours."
    )
    models.add_argument(
        "words",
        nargs="*",
        metavar="[PATTERN | convert IN OUT.safetensors]",
        help="names such as 'fmn10*'; one name prints its card; convert: rewrite a checkpoint",
    )
    models.add_argument(
        "--sort",
        choices=("name", "params", "macs", "score"),
        help="order of the list (default: by task, then parameters)",
    )
    models.add_argument("--composable", action="store_true", help="list every backbone with every head instead")
    models.add_argument(
        "--hidden",
        metavar="N[,N…]",
        help="with --composable: sizes of the heads, such as 128,512; 256 if none are given",
    )
    models.add_argument("--json", action="store_true", help="print everything known as JSON")
    models.add_argument(
        "--name",
        metavar="ARCH",
        help="convert: architecture such as fmn10+tf-256 (default: what the file says, or its name)",
    )
    models.add_argument("--half", action="store_true", help="convert: store weights as float16")
    models.add_argument("--force", action="store_true", help="convert: overwrite OUT")

    verify = add(
        "verify",
        run_verify,
        "Compare a released model's score with its card. Exit status: 0 pass, 1 fail, 3 the data do not compare.",
    )
    verify.add_argument("model", metavar="NAME", help="released name")
    verify.add_argument(
        "overrides",
        nargs="*",
        default=[],
        metavar="key=value",
        help="data.…, such as data.num_workers=8, and train.batch_size",
    )
    verify.add_argument(
        "--data", required=True, help="data set such as synthetic, or the directory of a folder data set"
    )
    verify.add_argument("--tolerance", type=float, default=0.005, help="largest difference that passes")
    verify.add_argument("--json", action="store_true", help="print the comparison as JSON")


def run_models(options: argparse.Namespace) -> int:
    from efficient_sed.benchmark import model_list as listing

    is_conversion = options.words[:1] == ["convert"]
    if is_conversion and (options.sort or options.composable or options.hidden or options.json):
        raise ConfigError("models convert takes --name, --half and --force; the other options belong to the list")
    if is_conversion:
        return _convert(options)
    if options.name or options.half or options.force:
        raise ConfigError("--name, --half and --force belong to: efficient-sed models convert IN OUT.safetensors")
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
    if options.json:
        whole = {} if options.words or options.composable else listing.list_models()
        print(json.dumps({**whole, "composable" if options.composable else "released": rows}, indent=1))
    elif options.composable:
        print_table(listing.composable_table(rows))
    else:
        print_table(listing.card_table(rows[0]) if rows[0]["name"] == pattern else listing.released_table(rows))
    return 0


def _convert(options: argparse.Namespace) -> int:
    from efficient_sed.models.weights.convert import convert_checkpoint

    if len(options.words) != 3:
        raise ConfigError(
            f"models convert takes IN and OUT.safetensors, got {' '.join(options.words[1:]) or 'neither'}"
        )
    source, target = map(Path, options.words[1:])
    print(
        f"wrote {target}: {convert_checkpoint(source, target, options.name, half=options.half, overwrite=options.force)}"
    )
    return 0


def run_verify(options: argparse.Namespace) -> int:
    import dataclasses

    from efficient_sed.experiment.verify import Outcome, verify_model

    verdict = verify_model(options.model, options.data, options.overrides, options.tolerance)
    print(json.dumps(dataclasses.asdict(verdict), indent=1) if options.json else "\n".join(verdict.lines()))
    return {Outcome.PASS: 0, Outcome.FAIL: EXIT_FAILED, Outcome.NOT_COMPARABLE: EXIT_NOT_COMPARABLE}[verdict.outcome]
