"""`efficient-sed score`: metrics of scores that any model wrote into tables."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from efficient_sed.cli.options import add_overrides, add_truth_format, typed_path
from efficient_sed.cli.parser import PROGRAM, Commands
from efficient_sed.cli.terminal import print_table
from efficient_sed.errors import ConfigError

if TYPE_CHECKING:
    from efficient_sed.config.evaluation import EvaluationConfig
    from efficient_sed.data.scores.clips import ScoreTables
    from efficient_sed.postprocessing.carried import Postprocessing

RESULT = "result.json"
TRUTH_HELP = "annotations in any format, such as a TSV with the columns filename, onset, offset and event_label"
DURATIONS_HELP = "TSV with the columns filename and duration; every clip is named"


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add(
        "score",
        run,
        "Score what any model wrote: PSDS, F1, pAUROC of a folder of score tables.",
        examples=(
            "score scores --truth truth.tsv --durations durations.tsv",
            "score scores --truth truth.tsv --durations durations.tsv --output runs/mine",
        ),
    )
    parser.add_argument(
        "scores",
        type=typed_path,
        metavar="SCORES",
        help="folder with a file a clip: TSV with the columns onset, offset and one a class, as sed_scores_eval writes "
        "it, or npz of: efficient-sed detect --format npz --postprocessing none",
    )
    parser.add_argument("--truth", type=typed_path, required=True, metavar="TSV", help=TRUTH_HELP)
    add_truth_format(parser)
    parser.add_argument("--durations", type=typed_path, required=True, metavar="TSV", help=DURATIONS_HELP)
    parser.add_argument("--classes", metavar="A,B,…", help="labels that are scored (default: all of the tables)")
    parser.add_argument(
        "--postprocessing",
        default="none",
        metavar="FILE.json|none",
        help="post-processing whose scores are given beside those of the tables as they are",
    )
    parser.add_argument(
        "--tune-on", type=typed_path, metavar="SCORES", help="choose it on these validation scores of the same model"
    )
    parser.add_argument("--tune-truth", type=typed_path, metavar="TSV", help="their ground truth")
    parser.add_argument("--tune-durations", type=typed_path, metavar="TSV", help="their durations")
    parser.add_argument(
        "--output",
        type=typed_path,
        metavar="DIR",
        help=f"folder for {RESULT}, which plot and compare read, and the counts behind it",
    )
    parser.add_argument("--name", help="name of the model in the result (default: that of the folder of scores)")
    parser.add_argument("--params", type=float, metavar="N", help="parameters of the model, for the frontier")
    parser.add_argument("--macs", type=float, metavar="M", help="its MACs for 10 s of sound, for the frontier")
    add_overrides(parser, "evaluation.KEY=VALUE, as for train")
    parser.set_defaults(option_of={"params": "--params", "macs": "--macs"})


def run(options: argparse.Namespace) -> int:
    """Print the scores, and write the result if asked for."""
    from efficient_sed.cli.class_table import class_table
    from efficient_sed.cli.score_tables import metrics_table
    from efficient_sed.experiment.compose import compose_run
    from efficient_sed.experiment.score_tables import (
        Costs,
        check_place,
        describe_result,
        score_tables,
        write_tables_result,
    )

    _check(options)
    config = compose_run(options.overrides).evaluation
    costs = None if options.macs is None else Costs(options.params, options.macs)
    if costs is not None:
        costs.to_dict()
    folder = options.output
    if folder is not None:
        folder = folder.parent if folder.name == RESULT else folder
        check_place(folder)
    tables = _open(options.scores, options.truth, options.durations, options)
    postprocessing, tuning = _postprocessing(options, tables, config)
    metrics = score_tables(tables, config, postprocessing=postprocessing, folder=folder)
    source = _source(options) | ({} if postprocessing is None else {"postprocessing": postprocessing.to_dict()})
    name = options.name or options.scores.resolve().name
    details: dict[str, Any] = {"name": name, "data": options.truth.stem, "source": source, "tuning": tuning}
    result = describe_result(tables, metrics, config, costs=costs, **details)
    print_table(metrics_table(result))
    print_table(class_table(result["metrics"], result["model"]))
    clips, hop_s = f"{len(tables):,} clips, {len(tables.classes)} classes", tables.grid.hop_s
    print(f"{clips}, frames of {hop_s:g} s; ground truth {result['data']['manifest_hash']}")
    if folder is not None:
        write_tables_result(folder, result)
        print(f"wrote {folder / RESULT}")
    return 0


def _check(options: argparse.Namespace) -> None:
    """Raise a ConfigError for options that do not go together."""
    for override in options.overrides:
        if not override.startswith("evaluation."):
            raise ConfigError(f"{override}: score takes scores as they are; allowed: evaluation.KEY=VALUE")
    if (options.params is None) != (options.macs is None):
        raise ConfigError("--params and --macs go together: give both, or neither")
    for key in ("name", "params"):
        if getattr(options, key) is not None and options.output is None:
            raise ConfigError(f"--{key} belongs to a result; add --output DIR")
    if options.output is not None and options.output.suffix and options.output.name != RESULT:
        raise ConfigError(f"--output {options.output} is not allowed: a folder, or {RESULT} in one")
    tune = (options.tune_on, options.tune_truth, options.tune_durations)
    if any(tune) != all(tune):
        raise ConfigError("--tune-on, --tune-truth and --tune-durations go together: give all three, or none")
    if options.tune_on and options.postprocessing != "none":
        raise ConfigError("--tune-on chooses a post-processing; leave --postprocessing out")


def _open(scores: Path, truth: Path, durations: Path, options: argparse.Namespace) -> ScoreTables:
    from efficient_sed.data.scores.clips import ScoreTables

    labels = None if options.classes is None else [label.strip() for label in options.classes.split(",")]
    return ScoreTables(scores, truth, durations, classes=labels, truth_format=options.truth_format)


def _postprocessing(
    options: argparse.Namespace, tables: ScoreTables, config: EvaluationConfig
) -> tuple[Postprocessing | None, dict[str, Any] | None]:
    """What is applied to the scores, and the report of its tuning."""
    _check_raw(options, options.scores, tables)
    if options.tune_on:
        from efficient_sed.experiment.score_tables import tune_on

        validation = _open(options.tune_on, options.tune_truth, options.tune_durations, options)
        _check_raw(options, options.tune_on, validation)
        return tune_on(validation, config, tables)
    if options.postprocessing == "none":
        return None, None
    from efficient_sed.postprocessing.file import read_postprocessing

    read = read_postprocessing(options.postprocessing).for_model(tables.all_classes, tables.grid.hop_s)
    return read.select([tables.all_classes.index(label) for label in tables.classes]), None


def _source(options: argparse.Namespace) -> dict[str, str]:
    """Where the scores are from, and the command that scores them again."""
    words = [PROGRAM, "score", str(options.scores)]
    for key in (
        *("truth", "truth_format", "durations", "classes", "postprocessing", "tune_on", "tune_truth", "tune_durations"),
        *("name", "params", "macs"),
    ):
        value = getattr(options, key)
        if value is not None and value != "none":
            words += [f"--{key.replace('_', '-')}", f"{value:g}" if isinstance(value, float) else str(value)]
    paths = {key: str(getattr(options, key)) for key in ("scores", "truth", "durations")}
    return {**paths, "command": shlex.join([*words, *options.overrides])}


def _check_raw(options: argparse.Namespace, scores: Path, tables: ScoreTables) -> None:
    """Raise a ConfigError for scores that are to be post-processed a second time."""
    if tables.applied and (options.tune_on or options.postprocessing != "none"):
        advice = "write raw ones by: efficient-sed detect … --format npz --postprocessing none"
        methods = ", ".join(tables.applied)
        raise ConfigError(f"{scores}: these scores went through {methods} already; {advice}")
